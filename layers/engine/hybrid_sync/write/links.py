"""Deferred references, and those left empty: written when both ends exist, journalled like any other change."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failpoints import failpoint
from hybrid_sync.halve import Refused
from hybrid_sync.keys import COLUMN, is_row_of, record_among, single
from hybrid_sync.postgres import Connection, Cursor, Question, answer
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.write.batches import record_failed
from hybrid_sync.write.isolate import reason_of
from hybrid_sync.write.journal import Batch, journal_changes
from hybrid_sync.write.native import AS_NATIVES, write_each
from hybrid_sync.write.split import SUPPRESSED
from hybrid_sync.write.statements import fires

if TYPE_CHECKING:
    from hybrid_sync.write.around import Around

_STAGE = sql.Identifier("pg_temp", "hybrid_sync_link")
_REFUSALS = (
    "trigger_exception", "trigger_suppressed", "policy_violation", "check_violation", "unique_violation",
    "exclusion_violation", "foreign_key_violation", "other",
)  # fmt: skip
"""Reasons for which a link is refused; a failed record of a link names its column."""


@dataclass(frozen=True)
class Group:
    """Pending links of one column into one parent source."""

    entity: str
    source: str
    column: str
    parent_entity: str
    parent_source: str


def groups(catalog: Catalog, run_id: str) -> Question[list[Group]]:
    """The groups with links that the run's entities wait for, or that wait for these entities."""

    def known(found: Cursor) -> list[Group]:
        return [Group(*row) for row in found.fetchall() if row[0] in catalog.entities and row[3] in catalog.entities]

    return Question(
        "with ours as (select entity from hybrid_sync.run_entity where run_id = %s)"
        " select distinct entity, source, column_name, parent_entity, parent_source from hybrid_sync.pending_link"
        " where entity in (select entity from ours) or parent_entity in (select entity from ours)"
        " order by 1, 2, 3, 4, 5",
        (run_id,),
        known,
    )


def any_waiting(rows: Mapping[tuple[str, str], Sequence[Key]]) -> Question[bool]:
    """Whether one of these rows, by entity and source, waits for a parent, or some row waits for one of them."""
    either: list[sql.Composable] = [sql.SQL("false")]
    for (entity, source), keys in rows.items():
        parents = [one for key in keys if (one := single(key)) is not None]
        either.append(sql.SQL("(entity = {} and source = {} and {})").format(entity, source, record_among(keys)))
        either.append(
            sql.SQL("(parent_entity = {} and parent_source = {} and parent_key = any({}))").format(
                entity, source, parents
            )
        )
    query = sql.SQL("select exists (select from hybrid_sync.pending_link where {})").format(
        sql.SQL(" or ").join(either)
    )
    return Question(query, None, lambda found: bool(found.fetchall()[0][0]))


@dataclass(frozen=True)
class _Joined:
    """The row t and the parent's row p of a pending link l."""

    tables: sql.Composed
    where: sql.Composed

    @property
    def rows(self) -> sql.Composed:
        return sql.SQL("hybrid_sync.pending_link l, {} where {}").format(self.tables, self.where)

    def narrowed(self, keys: Sequence[Key]) -> _Joined:
        return _Joined(self.tables, sql.SQL("{} and {}").format(self.where, record_among(keys, sql.SQL("l.key"))))


def _joined(catalog: Catalog, group: Group) -> _Joined:
    child, parent = catalog[group.entity], catalog[group.parent_entity]
    source, parent_source = child.sources[group.source], parent.sources[group.parent_source]
    conditions = [
        is_row_of(source, sql.SQL("l.key")), is_row_of(parent_source, sql.SQL("array[l.parent_key]"), "p"),
        _of_group(group),
    ]  # fmt: skip
    return _Joined(
        sql.SQL("{} t, {} p").format(table(child.target), table(parent.target)), sql.SQL(" and ").join(conditions)
    )


def _of_group(group: Group) -> sql.Composed:
    """The condition that the pending link l is of this group."""
    return sql.SQL(" and ").join(
        sql.SQL("l.{} = {}").format(sql.Identifier(column), value)
        for column, value in (
            ("entity", group.entity), ("source", group.source), ("column_name", group.column),
            ("parent_entity", group.parent_entity), ("parent_source", group.parent_source),
        )
    )  # fmt: skip


def linkable(connection: Connection, catalog: Catalog, run_id: str, group: Group, limit: int) -> list[Key]:
    """Keys whose row and parent are both in the target, at most `limit`; without those refused in this run."""
    query = sql.SQL("select l.key from {} and not {} order by l.key limit {}").format(
        _joined(catalog, group).rows, _refused(run_id, group), sql.Literal(limit)
    )
    return [tuple(row[0]) for row in connection.execute(query).fetchall()]


def _refused(run_id: str, group: Group) -> sql.Composed:
    """The condition that the target has refused the link l in this run.

    A subquery that is hashed: IS TRUE keeps the planner, which knows nothing of records of this run, from joining.
    """
    return sql.SQL(
        "((l.key in (select f.key from hybrid_sync.failed_record f where f.entity = {} and f.source = {}"
        " and f.status <> 'resolved' and f.last_run = {} and f.column_name = {} and f.reason = any({}))) is true)"
    ).format(group.entity, group.source, run_id, group.column, list(_REFUSALS))


def ask_fires(catalog: Catalog, entity: str) -> Question[bool]:
    """Whether a link of the entity fires a trigger, which may write other rows."""
    query = sql.SQL("select {}").format(fires(table(catalog[entity].target), "update"))
    return Question(query, None, lambda found: bool(found.fetchall()[0][0]))


def link(
    connection: Connection, catalog: Catalog, run_id: str, group: Group, keys: list[Key], *, firing: bool = False
) -> int:  # fmt: skip
    """Write the references of these keys, whose buckets the caller holds; returns how many links are settled.

    A link that the target refuses becomes a failed record of its row, whose other values are there.  What triggers
    write around the links is recorded where they are said to fire some.
    """
    joined = _joined(catalog, group).narrowed(keys)
    relation = table(catalog[group.entity].target)
    _stage(connection, relation, group, joined)
    failpoint("link.staged", connection)
    batch = Batch(run_id, uuid.uuid4(), group.entity, group.source)
    around = _around(connection, catalog, group) if firing else None
    refused = _write(connection, relation, group)
    linked = _journal(connection, relation, batch, group)
    if around is not None:
        around.record(run_id, batch.batch_id, linked)
    failpoint("link.journalled", connection)
    settled = _settle(connection, relation, run_id, group)
    record_failed(connection, run_id, group.entity, group.source, refused)
    failpoint("link.written", connection)
    return settled


def _stage(connection: Connection, relation: sql.Identifier, group: Group, joined: _Joined) -> None:
    """The rows of the links, locked in id order, with what they referred to before; some may have been linked already.

    The rows are found by their keys here alone: what follows knows them by their ids.
    """
    connection.execute("drop table if exists pg_temp.hybrid_sync_link")
    connection.execute(
        sql.SQL(
            "create temp table hybrid_sync_link (n int generated always as identity, id uuid, key {}, parent uuid,"
            " old uuid, prior xid, refused text,"
            " linked bool generated always as (old is not distinct from parent) stored) on commit drop"
        ).format(COLUMN)
    )
    chosen = sql.SQL(
        "insert into {stage} (id, key, parent, old, prior, refused) select x.id, x.key, x.parent, x.old, x.prior, {why}"
        " from (select t.id, l.key, p.id as parent, t.{column} as old, t.xmin as prior from {rows} {more}"
        " order by t.id {lock}) x"
    )
    names = {"stage": _STAGE, "column": sql.Identifier(group.column), "rows": joined.rows}
    lock = sql.SQL("for no key update of t")
    connection.execute(chosen.format(**names, why=sql.SQL("null"), more=sql.SQL(""), lock=lock))
    # A policy that forbids the update hides the row from the lock, and the link would wait without a word.
    hidden = sql.SQL("and row_security_active({}::regclass) and t.id not in (select id from {})").format(
        sql.Literal(relation.as_string(connection)), _STAGE
    )
    why = sql.SQL("case when x.old is distinct from x.parent then 'policy_violation' end")
    connection.execute(chosen.format(**names, why=why, more=hidden, lock=sql.SQL("").format()))


def _write(connection: Connection, relation: sql.Identifier, group: Group) -> list[FailedRow]:
    column = sql.Identifier(group.column)
    rows = connection.execute(
        sql.SQL("select n, key from {} where refused is null and not linked").format(_STAGE)
    ).fetchall()
    lines: dict[int, list[int]] = dict(rows)

    def statement(some: Sequence[int]) -> sql.Composed:
        return sql.SQL("update {} t set {} = l.parent from {} l, {} where t.id = l.id and l.n = any({})").format(
            relation, column, _STAGE, AS_NATIVES, list(some)
        )

    def check(some: Sequence[int]) -> None:
        row = connection.execute(
            sql.SQL(
                "select count(*) from {} l join {} t on t.id = l.id and t.{} = l.parent where l.n = any(%s)"
            ).format(_STAGE, relation, column),
            (list(some),),
        ).fetchone()
        if row is None or int(row[0]) < len(some):
            raise Refused(SUPPRESSED)

    refused: list[FailedRow] = []
    for r in write_each(connection, sorted(lines), statement, check):
        why = reason_of(r.sqlstate)
        connection.execute(sql.SQL("update {} set refused = %s where n = %s").format(_STAGE), (why, r.item))
        refused.append(FailedRow(tuple(lines[r.item]), why, group.column, r.sqlstate, r.constraint, present=True))
    hidden = connection.execute(sql.SQL("select key, refused from {} where refused is not null").format(_STAGE))
    known = {row.key for row in refused}
    refused += [FailedRow(tuple(k), why, group.column, present=True) for k, why in hidden if tuple(k) not in known]
    return refused


def _around(connection: Connection, catalog: Catalog, group: Group) -> Around:
    from hybrid_sync.write.around import Around  # only where the target has triggers

    return Around(connection, catalog, catalog[group.entity].target)


def _journal(connection: Connection, relation: sql.Identifier, batch: Batch, group: Group) -> int:
    """Under the version that each row has now: a savepoint's, or that of a trigger which wrote it again; how many."""
    rows = sql.SQL(
        "select l.key, l.id, t.xmin, l.prior, jsonb_build_object({}::text, l.old)"
        " from {} l join {} t on t.id = l.id where l.refused is null and not l.linked order by l.n"
    ).format(group.column, _STAGE, relation)
    return answer(connection, journal_changes(batch, rows, "link")).rows


def _settle(connection: Connection, relation: sql.Identifier, run_id: str, group: Group) -> int:
    # Only what is linked now: a trigger may have put another reference in its place.
    settled = connection.execute(
        sql.SQL(
            "delete from hybrid_sync.pending_link l using {} s join {} t on t.id = s.id and t.{} = s.parent"
            " where l.key = s.key and {} returning l.key"
        ).format(_STAGE, relation, sql.Identifier(group.column), _of_group(group))
    ).fetchall()
    connection.execute(
        sql.SQL(
            "update hybrid_sync.failed_record set status = 'resolved', ended_at = clock_timestamp(), ended_by = {run}"
            " where entity = {entity} and source = {source} and status <> 'resolved' and reason = any({reasons})"
            " and column_name = {column} and {linked}"
        ).format(
            run=sql.Literal(run_id), entity=sql.Literal(group.entity), source=sql.Literal(group.source),
            column=sql.Literal(group.column), linked=record_among([key for (key,) in settled]),
            reasons=sql.Literal(["missing_parent", *_REFUSALS]),
        )
    )  # fmt: skip
    return len(settled)


def quarantine_unlinked(connection: Connection, catalog: Catalog, run_id: str, group: Group) -> int:
    """Make what still pends a failed record: the row is there, its reference is not; returns how many.

    Where the catalog leaves such a reference empty, the link goes on waiting and is no failure.
    """
    reference = catalog[group.entity].sources[group.source].references.get(group.column)
    if reference is not None and reference.on_missing == "null":
        return 0
    source = catalog[group.entity].sources[group.source]
    return connection.execute(
        sql.SQL(
            "insert into hybrid_sync.failed_record as f (entity, source, key, reason, column_name, waits_for, present,"
            " first_run, last_run)"
            " select l.entity, l.source, l.key, 'missing_parent', l.column_name, jsonb_build_object('entity',"
            " l.parent_entity, 'source', l.parent_source, 'key', jsonb_build_array(l.parent_key)), true, {run}, {run}"
            " from hybrid_sync.pending_link l join {table} t on {own}"
            " where l.entity = {entity} and l.source = {source} and l.column_name = {column}"
            " and l.parent_entity = {parent} and l.parent_source = {via} and not {refused} order by l.key"
            " on conflict (entity, source, key) do update set last_run = excluded.last_run,"
            " last_seen = clock_timestamp(), reason = excluded.reason, column_name = excluded.column_name,"
            " waits_for = excluded.waits_for, present = true,"
            # Another failure than before, or one that had healed, is a new one, as in record_outcome.
            " (status, attempts, queued_at, ended_at, ended_by, accepted_why) = (select case when anew then 'open' else"
            " f.status end, case when anew then 0 else f.attempts end, case when not anew then f.queued_at end,"
            " case when not anew then f.ended_at end, case when not anew then f.ended_by end,"
            " case when not anew then f.accepted_why end"
            " from (select f.status = 'resolved' or f.reason <> excluded.reason as anew) a)"
        ).format(
            run=sql.Literal(run_id), table=table(catalog[group.entity].target), own=is_row_of(source, sql.SQL("l.key")),
            entity=sql.Literal(group.entity), source=sql.Literal(group.source), column=sql.Literal(group.column),
            parent=sql.Literal(group.parent_entity), via=sql.Literal(group.parent_source),
            refused=_refused(run_id, group),
        )
    ).rowcount  # fmt: skip
