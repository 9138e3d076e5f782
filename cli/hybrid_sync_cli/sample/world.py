"""Making the sample world: both databases filled in one go, or left as they were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import psycopg
from psycopg import sql

from hybrid_sync.postgres import Connection, Side, connect
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.sample import marker
from hybrid_sync_cli.sample.planted import Expected, expected
from hybrid_sync_cli.sample.sizes import sizes

_ROWS = ("people", "production", "conversation", "money", "notifications")
_TARGET = ("people", "production", "conversation", "money", "access")
# Parents first: the target's foreign keys are in force.
_EARLIER = (
    "offices", "profiles", "patients", "cases", "orders", "payments", "purchases", "case_messages",
    "system_messages",
)  # fmt: skip
_TABLES = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1"


class World(TypedDict):
    """What was made, in rows."""

    seed: int
    scale: float
    seconds: float
    legacy: dict[str, int]
    """Rows per legacy table."""
    target: dict[str, int]
    """Rows per target table before any sync: migrated earlier, gone and native ones."""
    native: dict[str, int]
    """Of these, rows without a legacy key."""
    planted: dict[str, dict[str, int]]
    """Entity -> reason -> rows that must become failed records."""
    excluded: dict[str, dict[str, int]]
    """Entity -> reason -> rows that a rule leaves out."""
    gone: dict[str, int]
    """Entity -> target rows whose legacy row no longer exists."""


def generate(legacy_dsn: str, target_dsn: str, scale: float = 0.01, seed: int = 1) -> World:
    """Fill two empty databases with a world that depends on scale and seed only.

    Scale 1 is the company's own size (3.2 million rows, under two minutes).  Both databases are written
    in one transaction each, committed at the end.  Raises CliError where a database is not empty, or may not
    be written, and LegacyUnavailable or TargetUnavailable where it does not answer.
    """
    began = time.monotonic()
    counts = {**sizes(scale), "seed": seed}
    with (
        writing(legacy_dsn, "legacy") as legacy,
        writing(target_dsn, "target") as target,
    ):
        marker.require_empty(legacy, "legacy")
        marker.require_empty(target, "target")
        _fill_legacy(legacy, counts, scale)
        marker.claim(target, "target", seed, scale)
        for part in _TARGET:
            target.execute(marker.script(f"target/{part}.sql"))
        _migrate_earlier(legacy, target, _cutoffs(counts))
        target.execute(marker.script("native.sql"))
        facts: Expected = expected(counts)
        world = World(
            seed=seed, scale=scale, seconds=0.0,
            legacy=_count(legacy), target=_count(target), native=_native(target),
            planted=facts.failed, excluded=facts.excluded, gone=facts.gone,
        )  # fmt: skip
    _analyze(legacy_dsn, "legacy")
    _analyze(target_dsn, "target")
    world["seconds"] = round(time.monotonic() - began, 2)
    return world


@contextmanager
def writing(dsn: str, side: Side) -> Iterator[Connection]:
    """One transaction without a time limit, committed when the block ends well; the client merges the values.

    Merging lets a file of several statements have parameters.  Raises CliError where the role may not write.
    """
    connection = connect(dsn, side)
    connection.cursor_factory = psycopg.ClientCursor
    try:
        with connection, connection.transaction():
            connection.execute("set local statement_timeout = 0")
            yield connection
    except psycopg.errors.InsufficientPrivilege:
        raise CliError(
            f"The role in the {side} DSN may not create tables there: use the DSN of the database's owner."
        ) from None


def _analyze(dsn: str, side: Side) -> None:
    with connect(dsn, side) as connection:
        connection.execute("set statement_timeout = 0")
        connection.execute("analyze")


def _fill_legacy(legacy: Connection, counts: dict[str, int], scale: float) -> None:
    marker.claim(legacy, "legacy", counts["seed"], scale)
    legacy.execute(marker.script("functions.sql"))
    legacy.execute(marker.script("legacy.sql"))
    legacy.execute("set local search_path = public, hybrid_sync_sample")
    for part in _ROWS:
        legacy.execute(marker.script(f"rows/{part}.sql"), counts)
    legacy.execute(marker.script("legacy_constraints.sql"))


def _cutoffs(counts: dict[str, int]) -> dict[str, int]:
    """The one-time migration took the oldest rows: the largest legacy key of each kind that it took."""

    def key(ordinal: float) -> int:
        return (8 * int(ordinal) - 1) // 7

    # All doctors and technicians are older than any patient, so every migrated patient finds its people.
    people = counts["technicians"] + counts["doctors"]
    return {
        "seed": counts["seed"],
        "earlier_offices": key(counts["offices"] * 0.9),
        "earlier_users": key(people + counts["patients"] * 0.6),
        "earlier_patients": key(counts["patients"] * 0.6),
        "earlier_orders": key(counts["usual_orders"] * 0.6),
        "earlier_comments": key(counts["comments"] * 0.3),
        "earlier_notifications": key(counts["notifications"] * 0.1),
    }


def _migrate_earlier(legacy: Connection, target: Connection, cutoffs: dict[str, int]) -> None:
    for name in _EARLIER:
        query = sql.SQL(marker.script(f"earlier/{name}.sql").strip())
        columns = [column.name for column in _describe(legacy, query, cutoffs)]
        out = sql.SQL("copy ({}) to stdout").format(query)
        into = sql.SQL("copy {} ({}) from stdin").format(
            sql.Identifier("public", name), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with (
            legacy.cursor() as reader,
            target.cursor() as writer,
            reader.copy(out, cutoffs) as rows,
            writer.copy(into) as copy,
        ):
            for block in rows:
                copy.write(block)


def _describe(legacy: Connection, query: sql.SQL, cutoffs: dict[str, int]) -> list[psycopg.Column]:
    cursor = legacy.execute(sql.SQL("select * from ({}) q limit 0").format(query), cutoffs)
    return list(cursor.description or [])


def _count(connection: Connection) -> dict[str, int]:
    names = [row[0] for row in connection.execute(_TABLES).fetchall()]
    return {name: _rows(connection, name, sql.SQL("true")) for name in names}


def _native(target: Connection) -> dict[str, int]:
    keyed = {"cases": "legacy_patient_id", "role_permissions": "legacy_role_id"}
    names = [row[0] for row in target.execute(_TABLES).fetchall()]
    counted = {
        name: _rows(target, name, sql.SQL("{} is null").format(sql.Identifier(keyed.get(name, "legacy_id"))))
        for name in names
    }
    return {name: rows for name, rows in counted.items() if rows}


def _rows(connection: Connection, table: str, where: sql.Composable) -> int:
    query = sql.SQL("select count(*) from {} where {}").format(sql.Identifier("public", table), where)
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
