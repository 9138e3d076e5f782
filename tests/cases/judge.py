"""The judge: after a run every legacy row is in the target, is a failed record or is excluded, or the run says so.

It reads legacy's tables by SQL of its own, key by key, and takes nothing from the engine but its failed records.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations, table_of
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table

Key = tuple[str, ...]


def silently_missing(catalog: Catalog, run_id: str, legacy: str, target: str) -> list[str]:
    """What is wrong, in sentences; rows of entities that the run calls failed or incomplete are no secret."""
    found: list[str] = []
    with _open(legacy) as ours, _open(target) as theirs:
        verified = theirs.execute(
            "select entity from hybrid_sync.run_entity where run_id = %s and status = 'verified'"
            " and detection not in ('keys', 'range')",
            (run_id,),
        ).fetchall()
        for (name,) in verified:
            for source_name, source in catalog[name].sources.items():
                found += _source(catalog[name], source_name, source, ours, theirs)
    return found


def _open(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, autocommit=True, client_encoding="UTF8")


def _source(
    entity: Entity, name: str, source: Source, legacy: psycopg.Connection[Any], target: psycopg.Connection[Any]
) -> list[str]:
    there = _in_legacy(source, legacy)
    excluded = _excluded(source, legacy)
    stored = _in_target(entity, source, target)
    failed = _failed(entity, name, target)
    found: list[str] = []
    for key, rows in sorted(there.items()):
        if "" in key:
            continue
        if key not in stored and key not in failed and key not in excluded:
            found.append(f"{entity.entity}: {rows} row(s) of key {','.join(key)} are silently missing")
        if rows > 1 and key not in failed and key not in excluded:
            found.append(f"{entity.entity}: {rows} rows share the key {','.join(key)}, and nothing tells it")
    without = sum(rows - excluded[key] for key, rows in there.items() if "" in key)
    told = failed.get(("",), 0)
    if without != told:
        found.append(f"{entity.entity}: {without} row(s) have no complete key, and {told} are told")
    for key, rows in stored.items():
        if rows > 1:
            found.append(f"{entity.entity}: key {','.join(key)} has {rows} rows in the target")
    return found


def _key(source: Source) -> sql.Composed:
    parts = sql.SQL(", ").join(sql.SQL("coalesce(({})::text, '')").format(raw(e)) for e in source.key.values())
    return sql.SQL("array[{}]").format(parts)


def _in_legacy(source: Source, legacy: psycopg.Connection[Any]) -> Counter[Key]:
    query = sql.SQL("select {}, count(*) from {} group by 1").format(_key(source), table_of(source))
    return Counter({tuple(key): int(rows) for key, rows in legacy.execute(query).fetchall()})


def _excluded(source: Source, legacy: psycopg.Connection[Any]) -> Counter[Key]:
    rules = [raw(rule.when) for rule in source.rules if rule.exclude]
    if not rules:
        return Counter()
    where = sql.SQL(" or ").join(sql.SQL("coalesce(({}), false)").format(rule) for rule in rules)
    query = sql.SQL("select {}, count(*) from {} where {} group by 1").format(_key(source), relations(source), where)
    return Counter({tuple(key): int(rows) for key, rows in legacy.execute(query).fetchall()})


def _in_target(entity: Entity, source: Source, target: psycopg.Connection[Any]) -> Counter[Key]:
    columns = [sql.Identifier(column) for column in source.key]
    where: list[sql.Composable] = [sql.SQL("{} is not null").format(column) for column in columns]
    where += [
        sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Literal(value))
        for column, value in source.discriminator.items()
    ]
    query = sql.SQL("select array[{}], count(*) from {} where {} group by 1").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(c) for c in columns), table(entity.target),
        sql.SQL(" and ").join(where),
    )  # fmt: skip
    return Counter({tuple(key): int(rows) for key, rows in target.execute(query).fetchall()})


def _failed(entity: Entity, source: str, target: psycopg.Connection[Any]) -> dict[Key, int]:
    """Open failed records with their rows; ("",) stands for all rows without a complete key."""
    rows = target.execute(
        "select key::text[], coalesce((to_jsonb(f)->>'rows')::int, 1) from hybrid_sync.failed_record f"
        " where entity = %s and source = %s and status <> 'resolved'",
        (entity.entity, source),
    ).fetchall()
    return {tuple(key) or ("",): int(count) for key, count in rows}
