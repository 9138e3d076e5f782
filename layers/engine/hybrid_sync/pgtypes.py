"""Types as a server describes them: what lies under a domain or in an array, and every modifier that narrows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Cursor, Question
from hybrid_sync.rounds import alike

LAST_BUILTIN = 16_383

BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT = 16, 17, 18, 19, 20, 21, 23, 25
JSON, CIDR, FLOAT4, FLOAT8, UNKNOWN, MONEY, INET = 114, 650, 700, 701, 705, 790, 869
BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, TIMETZ = 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266
BIT, VARBIT, NUMERIC, JSONB = 1560, 1562, 1700, 3802

INTEGERS = {INT2: 16, INT4: 32, INT8: 64}
"""Their bits."""


@dataclass(frozen=True)
class PgType:
    """One type under all its domains."""

    oid: int
    typname: str
    shown: str
    """As SQL writes it, with its modifiers."""
    modifier: int = -1
    """`atttypmod`; -1 where nothing narrows the type."""
    kind: str = "b"
    """`pg_type.typtype`: b base, c composite, d domain, e enum, m multirange, p pseudo, r range."""
    extension: str = ""
    binary: bool = True
    """The server can send and receive it in binary."""
    labels: tuple[str, ...] = ()
    element: PgType | None = None
    """Of an array."""
    domain: bool = False
    """It was declared through a domain."""

    @property
    def builtin(self) -> bool:
        """Every server has it under this number."""
        return self.oid <= LAST_BUILTIN

    @property
    def name(self) -> str:
        """The name that a message to people has: bare of a built-in type, else as SQL writes it."""
        plain = self.builtin and self.modifier < 0 and self.element is None and self.kind == "b"
        return self.typname if plain else self.shown

    @property
    def sql(self) -> sql.Identifier:
        """A built-in type without modifiers, whatever the search path is."""
        return sql.Identifier("pg_catalog", self.typname)

    @property
    def bare(self) -> PgType:
        """The same type without modifiers."""
        element = None if self.element is None else self.element.bare
        return replace(self, modifier=-1, element=element)

    @property
    def is_text(self) -> bool:
        """A text of any built-in kind, or one that an extension stores as such."""
        return self.oid in (TEXT, VARCHAR, BPCHAR, NAME, CHAR, UNKNOWN) or self.is_citext

    @property
    def is_citext(self) -> bool:
        return self.extension == "citext" and self.typname == "citext"

    # --- modifiers -----------------------------------------------------------------------------------------------

    @property
    def precision_and_scale(self) -> tuple[int, int] | None:
        """Of numeric: all digits, and those behind the point (negative where it rounds before it)."""
        if self.oid != NUMERIC or self.modifier < 4:
            return None
        scale = (self.modifier - 4) & 0x7FF
        return (self.modifier - 4) >> 16 & 0xFFFF, scale - 2048 if scale >= 1024 else scale

    @property
    def length(self) -> int | None:
        """Characters of char(n), varchar(n) and name; bits of bit(n) and bit varying(n)."""
        if self.oid in (BPCHAR, VARCHAR) and self.modifier >= 4:
            return self.modifier - 4
        if self.oid in (BIT, VARBIT) and self.modifier >= 0:
            return self.modifier
        return {NAME: 63, CHAR: 4}.get(self.oid)

    @property
    def fraction(self) -> int:
        """Digits behind the second of a time, timestamp or interval."""
        digits = self.modifier & 0xFFFF if self.oid == INTERVAL else self.modifier
        return 6 if self.modifier < 0 or digits > 6 else digits

    @property
    def fields(self) -> int:
        """The fields of `interval day to second` as the server's bits."""
        return self.modifier >> 16 & 0x7FFF if self.oid == INTERVAL and self.modifier >= 0 else 0x7FFF


# Under a domain lies its base with the domain's own modifier; an array hands its modifier to its elements.
_DESCRIBE = """
with recursive part (n, level, oid, modifier, domain) as (
  select {}
  union all
  select p.n, case when t.typtype = 'd' then p.level else p.level + 1 end,
         case when t.typtype = 'd' then t.typbasetype else t.typelem end,
         case when t.typtype = 'd' and p.modifier < 0 then t.typtypmod else p.modifier end,
         t.typtype = 'd'
  from part p join pg_catalog.pg_type t on t.oid = p.oid
  where t.typtype = 'd' or exists (select from pg_catalog.pg_type e where e.oid = t.typelem and e.typarray = t.oid)
)
select p.n, p.oid::bigint, t.typname::text, format_type(p.oid, p.modifier), p.modifier, t.typtype::text,
       coalesce((select x.extname::text from pg_catalog.pg_depend d join pg_catalog.pg_extension x on x.oid = d.refobjid
                 where d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
                   and d.refclassid = 'pg_catalog.pg_extension'::regclass), ''),
       t.typsend::oid <> 0 and t.typreceive::oid <> 0,
       array(select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid = t.oid order by e.enumsortorder),
       p.domain
from part p join pg_catalog.pg_type t on t.oid = p.oid where t.typtype <> 'd' order by p.n, p.level desc
"""
_LISTED = _DESCRIBE.format(
    "u.n, 0, u.oid, u.modifier, false from unnest(%s::oid[], %s::int4[]) with ordinality as u(oid, modifier, n)"
)
_OF_TABLE = _DESCRIBE.format(
    "pg_catalog.lpad(a.attnum::text, 5, '0') || ':' || a.attname, 0, a.atttypid, a.atttypmod, false"
    " from pg_catalog.pg_attribute a"
    " where a.attrelid = pg_catalog.to_regclass(%s) and a.attnum > 0 and not a.attisdropped"
)


def ask_types(types: Sequence[tuple[int, int]]) -> Question[list[PgType]]:
    """What each (type OID, modifier) really is, in the order given."""
    given = [("oid[]", [oid for oid, _ in types]), ("int4[]", [modifier for _, modifier in types])]
    return alike(_LISTED, given, lambda rows: _described(rows, len(types)))


def columns_of(table: str) -> Question[dict[str, PgType]]:
    """The types of a table's columns, in their order; the table as SQL writes it."""

    def typed(found: Cursor) -> dict[str, PgType]:
        return {str(n).partition(":")[2]: kind for n, kind in _typed(found.fetchall()).items()}

    return Question(_OF_TABLE, (table,), typed)


def _described(rows: list[tuple[Any, ...]], wanted: int) -> list[PgType]:
    found = _typed(rows)
    return [found[n] for n in range(1, wanted + 1)]


def _typed(rows: list[tuple[Any, ...]]) -> dict[Any, PgType]:
    found: dict[Any, PgType] = {}
    for n, oid, typname, shown, modifier, kind, extension, binary, labels, domain in rows:
        # The innermost element comes first, so that each array finds its own.
        found[n] = PgType(
            oid, typname, shown, modifier, kind, extension, binary, tuple(labels), found.get(n), domain
        )  # fmt: skip
    return found
