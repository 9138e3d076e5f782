"""The statements that carry staged rows into their table: one set of words for the quick path and for isolation.

In all of them `s` is a staged row, `t` a row of the target, `i` the before-image of a row that is about to change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.keys import key_columns, record_key
from hybrid_sync.write.images import image_of
from hybrid_sync.write.native import AS_NATIVES


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
        """The same of a row that has no older version."""
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
        # An adopted row has no key of its own yet, so the key is the staged one.
        return sql.SQL(
            "insert into {images} select x.id, x.hybrid_sync_key, x.hybrid_sync_prior, {image}"
            " from (select t.*, {key} as hybrid_sync_key, t.xmin as hybrid_sync_prior"
            " from {table} t join {stage} s on s.id = t.id"
            " where ({segment}) and {differs}"
            " order by t.id for no key update of t) x"
        ).format(
            images=self.images, key=self.key("s"), image=image_of("x", self.changing), table=self.relation,
            stage=self.stage, segment=self.segment, differs=self.differs,
        )  # fmt: skip

    def differing(self, what: str) -> sql.Composed:
        """`what` of the staged rows that are in the target and not as staged, whoever may lock them."""
        return sql.SQL("select {} from {} s join {} t on t.id = s.id where ({}) and {}").format(
            raw(what), self.stage, self.relation, self.segment, self.differs
        )

    def arrived(self, *, imaged: bool) -> sql.Composed:
        """How many of the staged rows stand in the target under their own id and key; of the changed ones, `imaged`."""
        images = sql.SQL("join {} i on i.id = s.id").format(self.images) if imaged else sql.SQL("")
        return sql.SQL("select count(*) from {} s {} join {} t on {} where {}").format(
            self.stage, images, self.relation, self.same, self.segment
        )

    def update(self) -> sql.Composed:
        """Set every row whose before-image was taken; to be run by `native.write`, like `insert`."""
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), self.staged(c)) for c in self.changing
        )
        return sql.SQL(
            "update {table} t set {assignments} from {stage} s join {images} i on i.id = s.id, {natives}"
            " where t.id = s.id and ({segment})"
        ).format(
            table=self.relation, assignments=assignments, stage=self.stage, images=self.images, natives=AS_NATIVES,
            segment=self.segment,
        )  # fmt: skip


def flag(column: str) -> str:
    """The staged column that says whether a deferred reference still waits for its parent."""
    return f"{column[:50]}__pending"
