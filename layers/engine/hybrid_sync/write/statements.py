"""The statements that carry staged rows into their table: one set of words for the quick path and for isolation.

In all of them `s` is a staged row, `t` a row of the target, `i` the before-image of a row that is about to change.
What stands beside the columns of a table has a name that no column has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from hashlib import sha256
from typing import Literal

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import key_columns, record_key
from hybrid_sync.write.images import image_of, short_image_of
from hybrid_sync.write.journal import Batch, entries_together
from hybrid_sync.write.native import AS_NATIVES, path_after

_NOTHING = sql.SQL("")
_ID = sql.Identifier("id")
Event = Literal["insert", "update"]
_BITS: dict[Event, int] = {"insert": 4, "update": 16}


@dataclass(frozen=True)
class Statements:
    """SQL over one stage; `segment` narrows it to some of the staged rows."""

    table: TargetTable
    plan: ReadPlan
    stage: sql.Identifier
    images: sql.Identifier
    adopting: bool = False
    """Native rows are among the known ones: their key columns are set and journalled like any other column."""
    loose: frozenset[str] = frozenset()
    """Columns staged without the target's modifiers, so that the target itself judges each value."""
    segment: sql.Composable = field(default_factory=lambda: sql.SQL("true"))

    @property
    def relation(self) -> sql.Identifier:
        return sql.Identifier(self.table.schema, self.table.name)

    @property
    def changing(self) -> tuple[str, ...]:
        """The columns that an update may set."""
        return (*self.plan.key_columns, *self.plan.mapped_columns) if self.adopting else self.plan.mapped_columns

    @property
    def deferred(self) -> tuple[str, ...]:
        return tuple(slot.column for slot in self.plan.references if slot.deferred)

    # --- values ----------------------------------------------------------------------------------------------

    def staged(self, column: str) -> sql.Composed:
        """The value to set; a deferred reference that is not resolved yet leaves the target's as it is."""
        name = sql.Identifier(column)
        if column not in self.deferred:
            return sql.SQL("s.{}").format(name)
        return sql.SQL("case when s.{flag} then t.{name} else s.{name} end").format(
            flag=sql.Identifier(flag(column)), name=name
        )

    def cast(self, column: str) -> sql.Composed:
        """The value as the target's own type, which comparing records needs."""
        return self._typed(column, self.staged(column))

    def cast_new(self, column: str) -> sql.Composed:
        """`cast` for a row that has no older version."""
        return self._typed(column, sql.SQL("s.{}").format(sql.Identifier(column)))

    def _typed(self, column: str, value: sql.Composed) -> sql.Composed:
        if column not in self.loose:
            return value
        return sql.SQL("{}::{}").format(value, raw(self.table.columns[column].type_sql))

    def key(self, alias: str) -> sql.Composed:
        """The legacy key as an array."""
        return record_key(key_columns(self.plan.key_columns, alias))

    @property
    def differs(self) -> sql.Composed:
        """The condition that the row t is not what the staged row s says.

        `*<>` compares the stored bytes: jsonb 1.0 and 1, numeric scales and -0 differ in it exactly where their
        canonical text differs, which `is distinct from` would overlook.
        """
        ours = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(c)) for c in self.changing)
        theirs = sql.SQL(", ").join(self.cast(c) for c in self.changing)
        return sql.SQL("row({})::record *<> row({})::record").format(ours, theirs)

    @property
    def same(self) -> sql.Composed:
        """The condition that the row t is the one that s was written to: a trigger may have changed id or key."""
        names = ("id", *self.plan.key_columns, *self.plan.discriminator)
        return sql.SQL(" and ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in names)

    # --- rows ------------------------------------------------------------------------------------------------

    def insert(self) -> sql.Composed:
        columns = [sql.Identifier(c) for c in self.plan.target_columns]
        return sql.SQL("insert into {} ({}) select {} from {} s, {} where {}").format(
            self.relation,
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(sql.SQL("s.{}").format(c) for c in columns),
            self.stage,
            AS_NATIVES,
            self.segment,
        )

    def take_images(self) -> sql.Composed:
        """Before-images of the rows that differ, under their locks, in id order."""
        return sql.SQL(
            "insert into {images} select x.id, x.hybrid_key9f2c, x.hybrid_prior9f2c, {image} from {x}"
        ).format(images=self.images, image=image_of("x", self.changing), x=self._locked())

    def change(self, batch: Batch) -> sql.Composed:
        """Take the before-images of the rows that differ, update and journal them: one look at each row.

        How many differ, how many were written, by which transactions, and whether a trigger fires.  It holds where
        none does: nobody looks at what stands there afterwards.
        """
        return self._change_told(batch) if self.table.tells_old else self._change_locked(batch)

    def _change_told(self, batch: Batch) -> sql.Composed:
        """The update says itself what each row was: also of one that somebody has just written, which it waits for."""
        # No lock beforehand, no second way to the row: a sixth of the time.  Images are texts, which are made under our
        # path; what an update makes others do, it does under the database's, at the end of the statement too.
        was = {c: f"hybrid_sync_was_{n}" for n, c in enumerate(self.changing)}
        written = sql.SQL(
            "select u.key, u.id, u.xid, u.prior, {image}, u.refers_anew from u, hybrid_sync_ours"
        ).format(image=short_image_of("u", was.values()))  # fmt: skip
        keys = self._keys(by_key=True)
        return sql.SQL(
            "with {natives}, u as (update {table} t set {assignments}"
            " from (select * from {stage} order by {order} offset 0) s, hybrid_sync_natives"
            " where {same} and ({segment}) and {differs}"
            " returning {key} as key, t.id, t.xmin as xid, old.xmin as prior, {was}, {refers_anew} as refers_anew),"
            " {ours}, j as ({journal} returning xid::text::bigint as xid, coalesce(cardinality(ids), 1) as rows),"
            " {again} select (select count(*) from u) as changed, coalesce(sum(rows), 0)::bigint as rows,"
            " coalesce(array_agg(distinct xid), '{{}}') as xids, {fires} from j, hybrid_sync_again"
        ).format(
            natives=path_after("hybrid_sync_natives", "natives", None),
            ours=path_after("hybrid_sync_ours", "ours", "u"),
            again=path_after("hybrid_sync_again", "natives", "j"), table=self.relation, stage=self.stage,
            assignments=self._assignments, order=sql.SQL(", ").join(keys or [_ID]), same=_equal((*keys, _ID)),
            segment=self.segment, differs=self.differs, key=self.key("s"), fires=fires(self.relation, "update"),
            was=sql.SQL(", ").join(
                sql.SQL("{} as {}").format(sql.Identifier("old", c), sql.Identifier(name)) for c, name in was.items()
            ),
            refers_anew=self._refers_anew({c: sql.Identifier("old", c) for c in was}),
            journal=entries_together(batch, written, self.changing),
        )  # fmt: skip

    def _change_locked(self, batch: Batch) -> sql.Composed:
        """Rows are locked first, and their images taken under the locks."""
        # The version that is locked is found by its place, not by the index once more; one that somebody writes at
        # just this moment stands elsewhere, and the row goes the way of refused ones.
        new = {c: sql.Identifier(f"hybrid_9f2c_{n}") for n, c in enumerate(self.changing)}
        was = {slot.column: f"hybrid_sync_was_{n}" for n, slot in enumerate(self.plan.references)}
        written = sql.SQL("select u.key, u.id, u.xid, u.prior, u.before, u.refers_anew from u")
        staged = sql.SQL("").join(sql.SQL(", {} as {}").format(self.staged(c), name) for c, name in new.items())
        return sql.SQL(
            "with o as materialized (select x.id, x.hybrid_place9f2c, x.hybrid_key9f2c as key,"
            " x.hybrid_prior9f2c as prior, {image} as before, {kept} from {x}),"
            " {natives}, u as (update {table} t set {assignments} from o, hybrid_sync_path"
            " where t.ctid = o.hybrid_place9f2c and t.id = o.id"
            " returning o.key, o.id, t.xmin as xid, o.prior, o.before, {refers_anew} as refers_anew),"
            " j as ({journal} returning xid::text::bigint as xid, coalesce(cardinality(ids), 1) as rows)"
            " select (select count(*) from o) as changed, coalesce(sum(rows), 0)::bigint as rows,"
            " coalesce(array_agg(distinct xid), '{{}}') as xids, {fires} from j"
        ).format(
            image=short_image_of("x", self.changing),
            kept=sql.SQL(", ").join(
                [sql.SQL("x.{}").format(name) for name in new.values()]
                + [sql.SQL("{} as {}").format(sql.Identifier("x", c), sql.Identifier(name)) for c, name in was.items()]
            ),
            x=self._locked(staged, by_key=True),
            table=self.relation, natives=path_after("hybrid_sync_path", "natives", "o"),
            fires=fires(self.relation, "update"), journal=entries_together(batch, written, self.changing),
            refers_anew=self._refers_anew({c: sql.Identifier("o", name) for c, name in was.items()}),
            assignments=sql.SQL(", ").join(sql.SQL("{} = o.{}").format(sql.Identifier(c), new[c]) for c in new),
        )  # fmt: skip

    def _refers_anew(self, was: Mapping[str, sql.Composable]) -> sql.Composable:
        """The condition that the row t, now written, refers elsewhere than before."""
        columns = [slot.column for slot in self.plan.references]
        return _differ([(sql.Identifier("t", column), was[column]) for column in columns])

    def _keys(self, *, by_key: bool) -> list[sql.Identifier]:
        """The columns by which rows are found and ordered, beside their id.

        Keys lie in the table as ids never do, side by side, so many rows are found sooner `by_key`.
        """
        # An adopted row has no key of its own yet, so the key is the staged one, and it is found by its id alone.
        return [sql.Identifier(c) for c in self.plan.key_columns] if by_key and not self.adopting else []

    @property
    def _assignments(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(c), self.staged(c)) for c in self.changing)

    def _locked(self, more: sql.Composable = _NOTHING, *, by_key: bool = False) -> sql.Composed:
        """The rows that differ as `x`, locked in one order, with key and version of each, and with `more` of it."""
        keys = self._keys(by_key=by_key)
        return sql.SQL(
            "(select t.*, t.ctid as hybrid_place9f2c, {key} as hybrid_key9f2c, t.xmin as hybrid_prior9f2c{more}"
            " from {table} t join {stage} s on {same}"
            " where ({segment}) and {differs}"
            " order by {order} for no key update of t) x"
        ).format(
            key=self.key("s"), more=more, table=self.relation, stage=self.stage, segment=self.segment,
            same=_equal((*keys, _ID)), differs=self.differs,
            order=sql.SQL(", ").join(sql.SQL("t.{}").format(c) for c in keys or [_ID]),
        )  # fmt: skip

    def differing(self, what: str) -> sql.Composed:
        """`what` of the staged rows that are in the target and not as staged, whoever may lock them."""
        return sql.SQL("select {} from {} s join {} t on t.id = s.id where ({}) and {}").format(
            raw(what), self.stage, self.relation, self.segment, self.differs
        )

    def altered(self, *events: Event) -> sql.Composed:
        """The ids of rows that a trigger of such an event gave other values than were staged."""
        return sql.SQL("{} and {}").format(self.differing("s.id"), fires(self.relation, *events))

    def arrived(self, *, imaged: bool) -> sql.Composed:
        """How many of the staged rows stand in the target under their own id and key; of the changed ones, `imaged`."""
        images = sql.SQL("join {} i on i.id = s.id").format(self.images) if imaged else sql.SQL("")
        return sql.SQL("select count(*) from {} s {} join {} t on {} where {}").format(
            self.stage, images, self.relation, self.same, self.segment
        )

    def update(self) -> sql.Composed:
        """Set every row whose before-image was taken; to be run by `native.write`, like `insert`."""
        return sql.SQL(
            "update {table} t set {assignments} from {stage} s join {images} i on i.id = s.id, {natives}"
            " where t.id = s.id and ({segment})"
        ).format(
            table=self.relation, assignments=self._assignments, stage=self.stage, images=self.images,
            natives=AS_NATIVES, segment=self.segment,
        )  # fmt: skip


def fires(relation: sql.Identifier, *events: Event) -> sql.Composed:
    """The condition that one of these events of the table, or of a partition of it, fires a trigger just now, which may
    change what is written.

    Nobody makes one while a statement of ours holds the table: whoever asks behind it, in its transaction, knows what
    has fired, also where the plan is older than the trigger.
    """
    return sql.SQL(
        "exists (select from pg_trigger g where not g.tgisinternal and g.tgenabled in ('O', 'A')"
        " and g.tgtype & {bits} <> 0 and g.tgrelid in"
        " (select {relation}::regclass union select relid from pg_partition_tree({relation}::regclass)))"
    ).format(bits=sum(_BITS[event] for event in events), relation=sql.Literal(relation.as_string(None)))


def _equal(columns: Iterable[sql.Identifier]) -> sql.Composed:
    """The condition that s and t agree in these columns."""
    return sql.SQL(" and ").join(sql.SQL("s.{0} = t.{0}").format(column) for column in columns)


def _differ(pairs: Sequence[tuple[sql.Composable, sql.Composable]]) -> sql.Composable:
    """The condition that the two values of some pair are not the same."""
    if not pairs:
        return sql.SQL("false")
    return sql.SQL("({})").format(
        sql.SQL(" or ").join(sql.SQL("{} is distinct from {}").format(*pair) for pair in pairs)
    )


def flag(column: str) -> str:
    """The staged column that says whether a deferred reference still waits for its parent."""
    # Not the name and more: what two long names share, or letters of several bytes, would be cut to one name.
    return f"hybrid_sync_pending_{sha256(column.encode()).hexdigest()[:16]}"
