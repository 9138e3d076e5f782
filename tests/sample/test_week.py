"""`mutate` reports exactly what it changed; what it says must be read is what the fence finds."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.models import Source
from hybrid_sync.legacy.changes import Detection, changed
from hybrid_sync.legacy.fence import current_fence
from hybrid_sync.postgres import Connection, connect
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.sample import mutate
from tests.sample.conftest import snapshot, tables
from tests.sample.test_catalog import CATALOG

Rows = dict[str, dict[tuple[int, ...], str]]


def _everything(dsn: str) -> Rows:
    with psycopg.connect(dsn) as connection:
        return {table: snapshot(connection, table) for table in tables(connection)}


def test_the_reported_keys_are_those_that_differ(live: str) -> None:
    before = _everything(live)
    report = mutate(live, seed=5)
    after = _everything(live)
    for table, old in before.items():
        new = after[table]
        assert report.keys(table, "inserted") == sorted(new.keys() - old.keys()), table
        assert report.keys(table, "deleted") == sorted(old.keys() - new.keys()), table
        differing = sorted(key for key in old.keys() & new.keys() if old[key] != new[key])
        assert report.keys(table, "updated") == differing, table


def test_a_week_touches_every_kind_of_change(live: str) -> None:
    report = mutate(live, seed=5)
    events = {change.event for change in report.changes}
    assert events >= {
        "payments cancelled after their purchase", "refunds", "offices that moved to another country",
        "patients changed without updated_at", "plans revised", "permissions revoked", "messages cleared",
    }  # fmt: skip
    assert report.gone["role_permissions"]["dispatch_role_permissions"]


def test_what_must_be_read_is_what_the_fence_finds_week_after_week(live: str) -> None:
    for week in (1, 2, 3):
        with connect(live, "legacy") as legacy:
            fence = current_fence(legacy)
            report = mutate(live, seed=week)
            for name, entity in CATALOG.entities.items():
                for source_name, source in entity.sources.items():
                    found = _keys(legacy, source, changed(source, Detection("fence", fence=fence)))
                    announced = report.must_read.get(name, {}).get(source_name, [])
                    assert found == sorted(announced), f"{name}, {source_name}, week {week}"


def test_no_mapped_row_changes_that_need_not_be_read(live: str) -> None:
    """Every source's SELECT before and after: what came or changed is announced, what went is gone."""
    before = _mapped(live)
    report = mutate(live, seed=9)
    after = _mapped(live)
    for (entity, source), old in before.items():
        new = after[entity, source]
        different = {key for key, row in new.items() if old.get(key) != row}
        assert different <= set(report.must_read.get(entity, {}).get(source, [])), entity
        assert set(report.gone.get(entity, {}).get(source, [])) <= old.keys() - new.keys(), entity


def _mapped(dsn: str) -> dict[tuple[str, str], dict[tuple[int, ...], str]]:
    found: dict[tuple[str, str], dict[tuple[int, ...], str]] = {}
    with connect(dsn, "legacy") as legacy:
        for name, entity in CATALOG.entities.items():
            for source_name, source in entity.sources.items():
                values = [raw(p.key) for r in source.references.values() for p in r.parents]
                values += [column.value for column in source.columns.values()]
                query = sql.SQL("select array[{}]::int8[], row({})::text from {}").format(
                    _key(source), sql.SQL(", ").join(values), relations(source)
                )
                rows = legacy.execute(query).fetchall()
                found[name, source_name] = {tuple(row[0]): row[1] for row in rows}
    return found


def _key(source: Source) -> sql.Composed:
    return sql.SQL(", ").join(raw(expr) for expr in source.key.values())


def _keys(legacy: Connection, source: Source, where: sql.Composable) -> list[tuple[int, ...]]:
    query = sql.SQL("select {} from {} where {}").format(_key(source), relations(source), where)
    return sorted(tuple(row) for row in legacy.execute(query).fetchall())


def test_a_database_that_the_sample_did_not_make_is_refused(legacy_db: str) -> None:
    with psycopg.connect(legacy_db) as connection:
        connection.execute("create table auth_user (id integer primary key)")
    with pytest.raises(CliError, match="was not made by `hybrid-sync sample`"):
        mutate(legacy_db)


def test_a_share_beyond_a_fifth_is_refused(live: str) -> None:
    with pytest.raises(CliError, match="--share between"):
        mutate(live, share=0.5)
