"""Keys and references are integers by their type, in both databases: what would have to be rounded is no identity."""

from __future__ import annotations

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.exact import Expr, negated, within_integer
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import NaturalTypes, TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType


@dataclass(frozen=True)
class KeyColumn:
    """One part of the legacy key: what legacy has, and what the target's column takes."""

    natural: PgType
    stored: PgType

    @property
    def narrower(self) -> bool:
        """Legacy may have keys that the target's column cannot hold."""
        return pg.INTEGERS[self.natural.oid] > pg.INTEGERS[self.stored.oid]

    @property
    def sent(self) -> Expr:
        """The type in which legacy sends it: wide enough for every key, so that none ends the read of all."""
        return (self.natural if self.narrower else self.stored).sql

    @property
    def width(self) -> int:
        return pg.INTEGERS[self.natural.oid if self.narrower else self.stored.oid] // 8

    @property
    def stored_width(self) -> int:
        return pg.INTEGERS[self.stored.oid] // 8

    def too_large(self, expr: Expr) -> list[Expr]:
        """The condition under which the target's column cannot hold the key; none where it always can."""
        return [negated(within_integer(expr, self.stored))] if self.narrower else []


def key_of(
    entity: Entity, source: str, column: str, written: str, natural: NaturalTypes, target: TargetTable
) -> KeyColumn:
    """One key column; StructureMismatch unless it is an integer on both sides."""
    kind = require_integer(entity, source, f"the key {column}", written, natural)
    stored = target.columns[column]
    if stored.type.oid not in pg.INTEGERS:
        raise StructureMismatch(
            f"Entity {entity.entity}: the target's key column {column} is {stored.type_sql}, not an integer.",
            "Make it bigint.",
        )
    return KeyColumn(kind, stored.type)


def require_integer(entity: Entity, source: str, what: str, written: str, natural: NaturalTypes) -> PgType:
    """The type of an expression that identifies a row; StructureMismatch where two values could become one."""
    kind = natural.integers[written]
    if kind.oid in pg.INTEGERS:
        return kind
    whole = kind.oid in (pg.NUMERIC, pg.FLOAT4, pg.FLOAT8)
    raise StructureMismatch(
        f"Entity {entity.entity}, source {source}: {what}, `{written}`, is {kind.name} in legacy, not an integer.",
        f"Write `({written})::bigint` if every value is whole, with a rule that fails the others: `when: ({written}) <>"
        f" trunc({written})`."
        if whole
        else "Name a column of type smallint, integer or bigint.",
    )
