"""The first load into an empty table: its indexes and foreign keys are made after it, not row by row.

What is dropped is recorded in the same transaction, so whoever comes after a crash makes it again.  The functions in
the target have their owner's rights and go by what `install` has recorded: a worker names an entity and nothing else.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import split, table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, Question, one_trip, send_with_next

ROWS = 20_000
"""Rows of a page where the catalog asks for such a load, also of a table that turned out to be in use, unless somebody
has said how many: what a page costs by itself is then little."""

_REFUSALS = {
    "unrecorded": "`install` has not recorded it as its owner's; run `hybrid-sync install` as its owner",
    "owner": "its owner is another role than the one that has run `hybrid-sync install`",
    "kind": "it is partitioned, inherited, unlogged, or forces row security upon its owner",
    "published": "a publication shows it to subscribers",
    "triggers": "a trigger fires for each new row and may look at the table",
    "in_use": "another session used it, or a table that it refers to, when the run began",
    "snapshot": "the transaction sees the table as it was earlier",
    "otherwise": "an index or a foreign key would not come back exactly as it is",
    "refused": "the server did not let its indexes or foreign keys go, or did not make them again",
}
"""What a person should know; that a table has rows already, or nothing to drop, is nothing to tell."""


_UNAWAITED = "set local synchronous_commit to off"
"""A part that is made or proven stands with its record in one transaction, so a crash that takes both lets the next run
make it again; the verdict that follows waits for the disk, and what stood before it in the log is there by then."""

_PROVEN_LATER = """
select a.attname::text, n.nspname::text, c.relname::text
from hybrid_sync.bulk_table b join hybrid_sync.bulk_part p on p.entity = b.entity
join pg_attribute a on a.attrelid = b.relation and array[a.attnum] = p.keys
join pg_class c on c.oid = p.parent join pg_namespace n on n.oid = c.relnamespace
where b.run_id = %s and b.entity = %s and p.proven
"""


@dataclass(frozen=True)
class LeftOpen:
    """A table whose load has not ended: an index, or a foreign key, is still to be made or proven."""

    entity: str
    run_id: str
    running: bool
    """Whether that run still is at work."""


@dataclass(frozen=True)
class Unproven:
    """A foreign key that is there again, and whether all rows keep it."""

    n: int
    name: str
    proven: bool


def record_tables(connection: Connection, catalog: Catalog) -> None:
    """Which tables may be loaded so: those of the catalog that say it, and that belong to who owns our functions.

    As the target's owner.  A load that is under way keeps its record.
    """
    connection.execute("delete from hybrid_sync.bulk_table where run_id is null")
    for name in (name for name, entity in catalog.entities.items() if entity.first_load == "bulk"):
        if is_shared(catalog, name):
            continue
        connection.execute(
            "insert into hybrid_sync.bulk_table (entity, relation) select %s, c.oid"
            " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = %s and c.relname = %s and c.relowner = (select p.proowner from pg_catalog.pg_proc p"
            "  where p.oid = 'hybrid_sync.begin_bulk(text, text)'::regprocedure)"
            " on conflict (entity) do nothing",
            (name, *split(catalog[name].target)),
        )


def is_shared(catalog: Catalog, entity: str) -> bool:
    """Whether another entity fills the same table: its rows would meet a table without the indexes that were dropped
    for this one."""
    place = split(catalog[entity].target)
    return any(name != entity and split(other.target) == place for name, other in catalog.entities.items())


def filled(connection: Connection, catalog: Catalog, entities: Sequence[str]) -> set[str]:
    """Those whose table has rows already, and not from a load that is under way; raises Locked where somebody keeps
    one of them locked.

    Whoever uses such a table need not be kept from it, not even for the moment in which `begin` would see the same.
    """
    tables = [table(catalog[name].target) for name in entities]
    queries = [
        sql.SQL(
            "select {entity} where exists (select from only {table}) and not exists"
            " (select from hybrid_sync.bulk_table b where b.entity = {entity} and b.run_id is not null)"
        ).format(entity=sql.Literal(name), table=relation)
        for name, relation in zip(entities, tables, strict=True)
    ]
    with one_trip(connection, "target", read_only=True) as trip:
        trip.do(sql.SQL("lock table only {} in access share mode nowait").format(sql.SQL(", only ").join(tables)))
        found = trip.ask(Question(sql.SQL(" union all ").join(queries), None, lambda rows: rows.fetchall()))
    return {name for (name,) in found.value}


def begin(connection: Connection, catalog: Catalog, run_id: str, entity: str) -> str | None:
    """Drop what is made again later, if the table is empty and nobody uses it; a repeat finds it done.

    Where it is loaded as usual: why, as a part of a sentence, or an empty text where that is no news.
    """
    if is_shared(catalog, entity):
        return "another entity of the catalog fills it, too"
    row = connection.execute("select hybrid_sync.begin_bulk(%s, %s)", (run_id, entity)).fetchone()
    assert row is not None, "a function's result is one row"
    return None if row[0] is None else _REFUSALS.get(str(row[0]), "")


def ask_under_way(run_id: str, entity: str) -> Question[bool]:
    """Whether the run loads the entity's table so."""
    return Question(
        "select exists (select from hybrid_sync.bulk_table where run_id = %s and entity = %s)",
        (run_id, entity),
        lambda found: bool(found.fetchall()[0][0]),
    )


def ask_proven_later(run_id: str, entity: str) -> Question[set[tuple[str, str, str]]]:
    """(column, schema, table): references whose foreign key the run has dropped, and proves again before it ends."""
    return Question(
        _PROVEN_LATER, (run_id, entity), lambda found: {(row[0], row[1], row[2]) for row in found.fetchall()}
    )


def ask_left_open() -> Question[list[LeftOpen]]:
    """All loads that have not ended."""
    return Question(
        "select b.entity, b.run_id, coalesce(r.status = 'running', false) from hybrid_sync.bulk_table b"
        " left join hybrid_sync.run r on r.run_id = b.run_id where b.run_id is not null order by b.entity",
        None,
        lambda found: [LeftOpen(*row) for row in found.fetchall()],
    )


def ask_lacking() -> Question[bool]:
    """Whether a run that is not at work any more has left a table without an index or a foreign key."""
    return Question(
        "select exists (select from hybrid_sync.bulk_table b join hybrid_sync.bulk_part p on p.entity = b.entity"
        " left join hybrid_sync.run r on r.run_id = b.run_id where p.made_at is null and r.status is distinct from"
        " 'running')",
        None,
        lambda found: bool(found.fetchall()[0][0]),
    )


def ask_without_key() -> Question[list[tuple[str, str]]]:
    """(entity, name) of primary keys that runs which are not at work any more have left to be made."""
    return Question(
        "select p.entity, p.name from hybrid_sync.bulk_table b join hybrid_sync.bulk_part p on p.entity = b.entity"
        " left join hybrid_sync.run r on r.run_id = b.run_id where p.prime and r.status is distinct from 'running'",
        None,
        lambda found: [(row[0], row[1]) for row in found.fetchall()],
    )


def make_next(connection: Connection, entity: str) -> str | None:
    """Make one index or foreign key again, and say which; None where all are there."""
    send_with_next(connection, _UNAWAITED)
    row = connection.execute("select hybrid_sync.end_bulk(%s)", (entity,)).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def to_be_made(connection: Connection, entity: str) -> str:
    """Which one comes next; before a foreign key the primary key to which it refers."""
    row = connection.execute(
        "select coalesce(prime.name, p.name) from hybrid_sync.bulk_part p"
        " left join hybrid_sync.bulk_table b on b.relation = p.parent"
        " left join hybrid_sync.bulk_part prime on prime.entity = b.entity and prime.prime"
        " where p.entity = %s and p.made_at is null order by p.n limit 1",
        (entity,),
    ).fetchone()
    return "" if row is None else str(row[0])


def prove_next(connection: Connection, entity: str, after: int) -> Unproven | None:
    """Have the server look at all rows of the next foreign key that is not proven yet; None where none is left."""
    send_with_next(connection, _UNAWAITED)
    row = connection.execute("select * from hybrid_sync.prove_bulk(%s, %s)", (entity, after)).fetchone()
    return None if row is None or row[0] is None else Unproven(*row)


def unproven_rows(connection: Connection, entity: str, part: Unproven) -> list[uuid.UUID]:
    """The rows that break the foreign key, also those that others wrote."""
    found = connection.execute("select id from hybrid_sync.unproven_rows(%s, %s)", (entity, part.n)).fetchall()
    return [row[0] for row in found]
