"""Pairs of types whose values arrive exactly as they are, and the rows of each pair that would not.

PostgreSQL checks only the length of a binary value, and rounds or pads to the target's modifiers without a word.  So a
pair is allowed by type, what its modifiers would change is asked row by row, and where both types exclude a change
nothing is asked at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import LiteralString

from psycopg import sql

from hybrid_sync import pgtypes as pg
from hybrid_sync.dataclass import dataclass
from hybrid_sync.pgtypes import PgType

Expr = sql.Composable
Check = tuple[Expr, str]
"""A condition under which a row must not be sent, and the reason it is failed for."""

# Numbers of rows in the server's own catalogs mean something else on another server; money's digits follow lc_monetary.
_NOT_VALUES = {
    "money", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator",
    "regproc", "regprocedure", "regrole", "regtype", "aclitem", "cid", "tid", "xid", "pg_node_tree", "pg_ndistinct",
    "pg_dependencies", "pg_mcv_list",
}  # fmt: skip
_FRACTIONS = {pg.TIME, pg.TIMETZ, pg.TIMESTAMP, pg.TIMESTAMPTZ, pg.INTERVAL}
# By the smallest field that an interval keeps: what must be zero for nothing to be lost. Bits as in the server.
_BELOW: tuple[tuple[int, tuple[LiteralString, ...]], ...] = (
    (1 << 12, ()),  # second
    (1 << 11, ("microseconds",)),  # minute
    (1 << 10, ("microseconds", "minute")),  # hour
    (1 << 3, ("microseconds", "minute", "hour")),  # day
    (1 << 1, ("microseconds", "minute", "hour", "day")),  # month
    (1 << 2, ("microseconds", "minute", "hour", "day", "month")),  # year
)


def as_it_is(value: Expr) -> Expr:
    return value


@dataclass(frozen=True)
class Fitted:
    """An expression whose bytes the target column takes, and the conditions under which a row must not be sent.

    `ours` is the value that legacy has, and `theirs` makes the same of what the target stores: a comparison of the
    two does not depend on what the write or a check has done.
    """

    expr: Expr
    ours: Expr
    theirs: Callable[[Expr], Expr] = as_it_is
    checks: Sequence[Check] = ()


def fits(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """The value for a column of the target's type; None where no exact form exists for these two types."""
    for family in (_text, _integer, _numeric, _bits, _array, _wider, _same):
        found = family(value, source, target)
        if found is not None:
            return found
    return None


def to(value: Expr, kind: PgType | Expr) -> Expr:
    """The value as another type, by a cast that cannot fail."""
    return sql.SQL("({})::{}").format(value, kind.sql if isinstance(kind, PgType) else kind)


def as_type(kind: Expr) -> Callable[[Expr], Expr]:
    return lambda value: to(value, kind)


TEXT = sql.Identifier("pg_catalog", "text")
_INT8 = sql.Identifier("pg_catalog", "int8")
_NUMERIC = sql.Identifier("pg_catalog", "numeric")
_BPCHAR = sql.Identifier("pg_catalog", "bpchar")

# --- texts and words -------------------------------------------------------------------------------------------------


def _text(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    if not (source.is_text or source.labels):
        return None
    text = to(value, TEXT)
    if target.labels:
        return Fitted(text, text, as_type(TEXT), _label_checks(text, source, target))
    if target.oid in (pg.TEXT, pg.VARCHAR) or target.is_citext:
        checks = _blank_checks(value, source) + length_checks(text, source, target)
        return Fitted(text, _as_written(value, source), as_type(TEXT), checks)
    if target.oid == pg.BPCHAR and source.oid == pg.BPCHAR:
        if target.length is None:
            return Fitted(value, to(value, _BPCHAR), as_type(_BPCHAR))
        return Fitted(value, text, as_type(TEXT), length_checks(text, source, target))
    return None


def _as_written(value: Expr, source: PgType) -> Expr:
    """The text that legacy has, with the blanks at its end that a cast to text would drop."""
    if source.oid != pg.BPCHAR or source.length is not None:
        return to(value, TEXT)
    return sql.SQL("case when ({v}) is not null then format('%s', {v}) end").format(v=value)


def _label_checks(text: Expr, source: PgType, target: PgType) -> list[Check]:
    if source.labels and set(source.labels) <= set(target.labels):
        return []
    labels = sql.SQL(", ").join(sql.Literal(label) for label in target.labels)
    return [(sql.SQL("{} not in ({})").format(text, labels), "unknown_enum")]


def _blank_checks(value: Expr, source: PgType) -> list[Check]:
    """The blanks behind a char(n) are padding; behind a char without a length they are what somebody wrote."""
    if source.oid != pg.BPCHAR or source.length is not None:
        return []
    return [(sql.SQL("octet_length({}) <> octet_length({})").format(value, to(value, TEXT)), "cast_loses")]


def length_checks(text: Expr, source: PgType, target: PgType) -> list[Check]:
    """Texts that the target's length would refuse, or cut where only blanks stand too far."""
    longest = max((len(label) for label in source.labels), default=None) if source.labels else source.length
    if target.length is None or (longest is not None and longest <= target.length):
        return []
    return [(sql.SQL("char_length({}) > {}").format(text, sql.Literal(target.length)), "value_too_long")]


# --- numbers ---------------------------------------------------------------------------------------------------------


def _integer(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    if source.oid not in pg.INTEGERS or target.oid not in pg.INTEGERS:
        return None
    ours = to(value, _INT8)
    if pg.INTEGERS[source.oid] <= pg.INTEGERS[target.oid]:
        return Fitted(to(value, target), ours, as_type(_INT8))
    inside = within_integer(value, target)
    return Fitted(guarded(inside, to(value, target)), ours, as_type(_INT8), [(negated(inside), "numeric_out_of_range")])


def within_integer(value: Expr, target: PgType) -> Expr:
    """Whether the number lies where the integer type can hold it; neither NaN nor infinity does."""
    half = 2 ** (pg.INTEGERS[target.oid] - 1)
    return sql.SQL("({}) between {} and {}").format(value, sql.Literal(-half), sql.Literal(half - 1))


def guarded(condition: Expr, value: Expr) -> Expr:
    """The value where the condition holds: elsewhere it would raise, and one row must not end the read of all."""
    return sql.SQL("case when {} then {} end").format(condition, value)


def negated(condition: Expr) -> Expr:
    return sql.SQL("not ({})").format(condition)


def _numeric(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    if target.oid != pg.NUMERIC or not (source.oid == pg.NUMERIC or source.oid in pg.INTEGERS):
        return None
    number = to(value, _NUMERIC)
    return Fitted(number, _scaled(number, target), as_type(_NUMERIC), _numeric_checks(number, source, target))


def _scaled(number: Expr, target: PgType) -> Expr:
    """The number with as many decimals as the target writes, where that leaves it the same number."""
    narrow = target.precision_and_scale
    if narrow is None:
        return number
    rounded = _rounded(number, narrow[1])
    return sql.SQL("case when {number} = {rounded} then {rounded} else {number} end").format(
        number=number, rounded=rounded
    )


def _rounded(number: Expr, scale: int) -> Expr:
    return sql.SQL("round({}, {})").format(number, sql.Literal(scale))


def _numeric_checks(number: Expr, source: PgType, target: PgType) -> list[Check]:
    """Rows whose number the target would round or refuse; nothing where the types exclude it."""
    narrow = target.precision_and_scale
    if narrow is None:
        return []
    digits, scale = _most_digits(source)
    before_point = narrow[0] - narrow[1]
    checks: list[Check] = []
    if scale is None or scale > narrow[1]:
        checks.append((sql.SQL("{} <> {}").format(number, _rounded(number, narrow[1])), "numeric_scale"))
    if digits is None or digits > before_point:
        limit = sql.Literal(f"1e{before_point}")
        checks.append((sql.SQL("abs({}) >= {}::numeric").format(number, limit), "numeric_out_of_range"))
    return checks


def _most_digits(source: PgType) -> tuple[int | None, int | None]:
    """Digits before and behind the point that a number of this type can have."""
    if source.oid in pg.INTEGERS:
        return len(str(2 ** (pg.INTEGERS[source.oid] - 1))), 0
    narrow = source.precision_and_scale
    return (None, None) if narrow is None else (narrow[0] - narrow[1], narrow[1])


def not_finite(number: Expr) -> Expr:
    """NaN or infinite: the one test that servers without an infinite numeric understand as well."""
    return sql.SQL("({number} - {number}) <> 0").format(number=number)


# --- bits, networks, arrays ------------------------------------------------------------------------------------------


def _bits(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    if source.oid not in (pg.BIT, pg.VARBIT) or target.oid not in (pg.BIT, pg.VARBIT):
        return None
    loose = sql.Identifier("pg_catalog", "varbit")
    plain = to(value, loose)
    fixed = source.oid == pg.BIT and source.length is not None
    checks: list[Check] = []
    if target.length is not None and not (fixed and source.length == target.length):
        if target.oid == pg.BIT:
            checks.append((sql.SQL("length({}) <> {}").format(plain, sql.Literal(target.length)), "cast_loses"))
        elif source.length is None or source.length > target.length:
            checks.append((sql.SQL("length({}) > {}").format(plain, sql.Literal(target.length)), "value_too_long"))
    return Fitted(plain, plain, as_type(loose), checks)


def _array(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """Arrays go as a whole; their bytes name the type of the elements, so only built-in ones can be sent."""
    ours, theirs = source.element, target.element
    if ours is None or theirs is None or not theirs.builtin or theirs.domain:
        return None
    one = fits(ELEMENT, ours, theirs)
    if one is None or not target.builtin or (_raises(ours, theirs) and ours.oid != theirs.oid):
        return None
    array = to(value, target)
    checks = any_element(value, one.checks)
    compared, kind = array, target.sql
    if theirs.oid == pg.BPCHAR and theirs.length is not None:  # its padding is no part of the value
        kind = sql.Identifier("pg_catalog", "_text")
        compared = to(value, kind)
    elif (narrow := theirs.precision_and_scale) is not None:
        scaled = sql.SQL("({})::numeric({},{})[]").format(array, *map(sql.Literal, narrow))
        compared = sql.SQL("case when {scaled} = {array} then {scaled} else {array} end").format(
            scaled=scaled, array=array
        )
    return Fitted(array, compared, as_type(kind), checks)


ELEMENT = sql.Identifier("hybrid_sync_element", "v")


def any_element(array: Expr, checks: Sequence[Check]) -> list[Check]:
    """The checks of `ELEMENT`, asked of each element of an array."""
    some = sql.SQL("exists (select from unnest({}) as hybrid_sync_element(v) where {})")
    return [(some.format(array, condition), reason) for condition, reason in checks]


def _raises(ours: PgType, theirs: PgType) -> bool:
    """Whether casting the whole array could end the read: a narrower integer, a shorter list of bits."""
    narrower = pg.INTEGERS.get(ours.oid, 0) > pg.INTEGERS.get(theirs.oid, 64)
    return narrower or theirs.oid in (pg.BIT, pg.VARBIT)


_WIDER = {(pg.CIDR, pg.INET), (pg.INT2, pg.FLOAT8), (pg.INT4, pg.FLOAT8), (pg.INT2, pg.FLOAT4)}


def _wider(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """Every value of the one type is a value of the other."""
    if (source.oid, target.oid) not in _WIDER:
        return None
    return Fitted(to(value, target), to(value, target), as_type(target.sql))


# --- the same type on both sides -------------------------------------------------------------------------------------


def _same(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    if source.kind not in "brm" or target.kind != source.kind or source.element is not None:
        return None
    if not (source.binary and target.binary) or source.typname in _NOT_VALUES:
        return None
    if source.builtin and source.oid == target.oid:
        return Fitted(value, to(value, target), as_type(target.sql), fraction_checks(value, source, target))
    if source.extension and (source.extension, source.typname) == (target.extension, target.typname):
        # Its own binary form on the wire; compared as text, so that two versions of the extension are no difference.
        return Fitted(value, to(value, TEXT), as_type(TEXT))
    return None


def fraction_checks(value: Expr, source: PgType, target: PgType) -> list[Check]:
    """Times and intervals that the target's precision or fields would cut; asked of the parts, which cannot raise."""
    if target.oid not in _FRACTIONS:
        return []
    cut = [part for part in _cut_by(target.fields) if part not in _cut_by(source.fields)]
    # An infinite interval keeps itself whatever the fields are, and its hours are infinite.
    lasting = sql.SQL("isfinite({}) and extract({} from {}) <> 0")
    conditions = [lasting.format(value, sql.SQL(part), value) for part in cut]
    if not cut and target.fraction < source.fraction:
        step = sql.Literal(10 ** (6 - target.fraction))
        conditions.append(sql.SQL("mod(extract(microseconds from {})::bigint, {}) <> 0").format(value, step))
    return [(sql.SQL(" or ").join(conditions), "cast_loses")] if conditions else []


def _cut_by(fields: int) -> tuple[LiteralString, ...]:
    """The parts below the smallest field that an interval of these fields keeps."""
    return next((parts for bit, parts in _BELOW if fields & bit), ())


def with_checks(fitted: Fitted, checks: Sequence[Check]) -> Fitted:
    """The column with these checks besides its own; a row for which one of them holds is not sent."""
    return replace(fitted, checks=[*fitted.checks, *checks])
