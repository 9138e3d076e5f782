"""Deferred references: written when both ends exist, journalled like any other change."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, among
from hybrid_sync.target.native import AS_NATIVES, write


@dataclass(frozen=True)
class Group:
    """Pending links of one column into one parent source."""

    entity: str
    source: str
    column: str
    parent_entity: str
    parent_source: str


def groups(connection: Connection, catalog: Catalog, entities: Collection[str]) -> list[Group]:
    """The groups with links that these entities wait for, or that wait for these entities."""
    rows = connection.execute(
        "select distinct entity, source, column_name, parent_entity, parent_source from hybrid_sync.pending_link"
        " where entity = any(%s) or parent_entity = any(%s) order by 1, 2, 3, 4, 5",
        (list(entities), list(entities)),
    ).fetchall()
    return [Group(*row) for row in rows if row[0] in catalog.entities and row[3] in catalog.entities]


@dataclass(frozen=True)
class _Joined:
    """The row t and the parent's row p of a pending link l."""

    tables: sql.Composed
    where: sql.Composed

    @property
    def rows(self) -> sql.Composed:
        return sql.SQL("hybrid_sync.pending_link l, {} where {}").format(self.tables, self.where)

    def narrowed(self, keys: Sequence[Key]) -> _Joined:
        return _Joined(self.tables, sql.SQL("{} and {}").format(self.where, among(sql.SQL("l.key"), keys)))


def _joined(catalog: Catalog, group: Group) -> _Joined:
    child, parent = catalog[group.entity], catalog[group.parent_entity]
    source, parent_source = child.sources[group.source], parent.sources[group.parent_source]
    conditions = [
        sql.SQL("t.{} = l.key[{}]").format(sql.Identifier(c), sql.Literal(i + 1)) for i, c in enumerate(source.key)
    ]
    conditions += _constants("t", source.discriminator)
    conditions += [sql.SQL("p.{} = l.parent_key").format(sql.Identifier(c)) for c in parent_source.key]
    conditions += _constants("p", parent_source.discriminator)
    conditions += [
        sql.SQL("l.{} = {}").format(sql.Identifier(column), sql.Literal(value))
        for column, value in (
            ("entity", group.entity), ("source", group.source), ("column_name", group.column),
            ("parent_entity", group.parent_entity), ("parent_source", group.parent_source),
        )
    ]  # fmt: skip
    return _Joined(
        sql.SQL("{} t, {} p").format(table(child.target), table(parent.target)), sql.SQL(" and ").join(conditions)
    )


def _constants(alias: str, discriminator: dict[str, str]) -> list[sql.Composed]:
    return [
        sql.SQL("{}.{}::text = {}").format(sql.SQL(alias), sql.Identifier(column), sql.Literal(value))
        for column, value in discriminator.items()
    ]


def linkable(connection: Connection, catalog: Catalog, group: Group, limit: int) -> list[Key]:
    """Keys whose row and parent are both in the target, at most `limit`."""
    rows = _joined(catalog, group).rows
    query = sql.SQL("select l.key from {} order by l.key limit {}").format(rows, sql.Literal(limit))
    return [tuple(row[0]) for row in connection.execute(query).fetchall()]


def link(connection: Connection, catalog: Catalog, run_id: str, group: Group, keys: list[Key]) -> int:
    """Write the references of these keys, whose buckets the caller holds; returns how many links are settled."""
    column = sql.Identifier(group.column)
    joined = _joined(catalog, group).narrowed(keys)
    rows = joined.rows
    batch = uuid.uuid4()
    connection.execute(
        sql.SQL(
            "insert into hybrid_sync.journal"
            " (run_id, batch_id, entity, source, operation, keys, id, xid, prior, before)"
            " select {run}, {batch}, {entity}, {source}, 'link', x.key, x.id, pg_current_xact_id()::xid, x.prior,"
            " jsonb_build_object({name}, x.old)"
            " from (select l.key, t.id, t.xmin as prior, t.{column} as old from {rows}"
            " and t.{column} is distinct from p.id"
            " order by t.id for no key update of t) x"
        ).format(
            run=sql.Literal(run_id), batch=sql.Literal(batch), entity=sql.Literal(group.entity),
            source=sql.Literal(group.source), name=sql.Literal(group.column), column=column, rows=rows,
        )
    )  # fmt: skip
    failpoint("link.journalled", connection)
    write(
        connection,
        sql.SQL(
            "update {table} c set {column} = x.parent from (select t.id, p.id as parent from {rows}) x, {natives}"
            " where c.id = x.id and c.{column} is distinct from x.parent"
        ).format(table=table(catalog[group.entity].target), column=column, rows=rows, natives=AS_NATIVES),
    )
    # Only what is linked now: a row that was read anew before its bucket was locked may wait for another parent.
    settled = connection.execute(
        sql.SQL("delete from hybrid_sync.pending_link l using {} where {} returning l.key").format(
            joined.tables, joined.where
        )
    ).fetchall()
    connection.execute(
        sql.SQL(
            "update hybrid_sync.failed_record set status = 'resolved', ended_at = clock_timestamp(), ended_by = {run}"
            " where entity = {entity} and source = {source} and status <> 'resolved' and reason = 'missing_parent'"
            " and column_name = {column} and {linked}"
        ).format(
            run=sql.Literal(run_id), entity=sql.Literal(group.entity), source=sql.Literal(group.source),
            column=sql.Literal(group.column), linked=among(sql.SQL("key"), [key for (key,) in settled]),
        )
    )  # fmt: skip
    failpoint("link.written", connection)
    return len(settled)


def quarantine_unlinked(connection: Connection, catalog: Catalog, run_id: str, group: Group) -> int:
    """Make what still pends a failed record: the row is there, its reference is not; returns how many."""
    source = catalog[group.entity].sources[group.source]
    own = [sql.SQL("t.{} = l.key[{}]").format(sql.Identifier(c), sql.Literal(i + 1)) for i, c in enumerate(source.key)]
    own += _constants("t", source.discriminator)
    return connection.execute(
        sql.SQL(
            "insert into hybrid_sync.failed_record as f (entity, source, key, reason, column_name, waits_for, present,"
            " first_run, last_run)"
            " select l.entity, l.source, l.key, 'missing_parent', l.column_name, jsonb_build_object('entity',"
            " l.parent_entity, 'source', l.parent_source, 'key', jsonb_build_array(l.parent_key)), true, {run}, {run}"
            " from hybrid_sync.pending_link l join {table} t on {own}"
            " where l.entity = {entity} and l.source = {source} and l.column_name = {column}"
            " and l.parent_entity = {parent} and l.parent_source = {via} order by l.key"
            " on conflict (entity, source, key) do update set last_run = excluded.last_run,"
            " last_seen = clock_timestamp(), reason = excluded.reason, column_name = excluded.column_name,"
            " waits_for = excluded.waits_for, present = true,"
            " status = case when f.status = 'resolved' then 'open' else f.status end"
        ).format(
            run=sql.Literal(run_id), table=table(catalog[group.entity].target), own=sql.SQL(" and ").join(own),
            entity=sql.Literal(group.entity), source=sql.Literal(group.source), column=sql.Literal(group.column),
            parent=sql.Literal(group.parent_entity), via=sql.Literal(group.parent_source),
        )
    ).rowcount  # fmt: skip
