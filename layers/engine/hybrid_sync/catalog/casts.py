"""`cast:`, checked per row: the value must come back from the target's type as what it was, or its row is failed.

A cast that raises would end the read of every row, so a range is asked first and the cast stands behind it.  "What it
was" is decided on the bytes of `record_send` and not by `=`, to which one day and 24 hours are the same.  Casts that
can raise for other reasons than a range, and casts that only a time zone decides, are not offered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from psycopg import sql

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.exact import (
    ELEMENT,
    TEXT,
    Expr,
    Fitted,
    any_element,
    as_type,
    fits,
    guarded,
    length_checks,
    negated,
    not_finite,
    to,
    with_checks,
    within_integer,
)  # fmt: skip
from hybrid_sync.dataclass import dataclass
from hybrid_sync.pgtypes import PgType

_OUTSIDE = "numeric_out_of_range"


@dataclass(frozen=True)
class _Cast:
    """One way from a type to another, and what is compared of both ends: `ours` of legacy's value, `theirs` of the
    stored one, in the same type, and neither may raise for a value that can be stored."""

    there: Callable[[Expr], Expr]
    ours: Callable[[Expr], Expr]
    theirs: Callable[[Expr], Expr]
    safe: Callable[[Expr], Expr] | None = None
    """For which values the cast cannot raise."""
    loses: Callable[[Expr], Expr] | None = None
    """Which values do not come back, where that is known without casting back."""
    exact: bool = False
    """Every value that is safe comes back."""


def cast(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """The value for a column of the target's type; None where the cast is not offered."""
    found = fits(value, source, target) or _to_text(value, source, target)
    if found is not None:
        return found
    way = _way(source, target)
    if way is None:
        return None
    given = way.there(value) if way.safe is None else guarded(way.safe(value), way.there(value))
    # What the target's modifiers do to the result is asked of the result.
    fitted = fits(given, target.bare, target)
    assert fitted is not None, "a type fits itself"
    checks = [] if way.safe is None else [(negated(way.safe(value)), _OUTSIDE)]
    if way.loses is not None:
        checks.append((way.loses(value), "cast_loses"))
    elif not way.exact:
        checks.append((_differ(way.ours(value), way.theirs(way.there(value))), "cast_loses"))
    return Fitted(fitted.expr, way.ours(value), way.theirs, [*checks, *fitted.checks])


def _differ(one: Expr, other: Expr) -> Expr:
    return sql.SQL("record_send(row({})) <> record_send(row({}))").format(one, other)


def _to_text(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """A text form is always to be had; what a char, a name or a length would cut of it is asked."""
    if source.element is not None and target.element is not None:
        return _to_texts(value, source.element, target)
    text = to(value, TEXT)
    plain = Fitted(text, text, as_type(TEXT))
    if target.oid in (pg.TEXT, pg.VARCHAR) or target.is_citext:
        return with_checks(plain, length_checks(text, source if source.is_text else _ANY, target))
    if target.oid not in (pg.BPCHAR, pg.NAME, pg.CHAR):
        return None
    if target.oid == pg.BPCHAR and target.length is not None:
        kind: Expr = sql.SQL("char({})").format(sql.Literal(target.length))
    else:
        kind = target.sql
    checks = [(sql.SQL("{} <> {}").format(to(to(text, kind), TEXT), text), "cast_loses")]
    return with_checks(replace(plain, expr=to(text, kind)), checks)


def _to_texts(value: Expr, source: PgType, target: PgType) -> Fitted | None:
    """An array of anything as an array of texts."""
    element = target.element
    if element is None or element.oid not in (pg.TEXT, pg.VARCHAR) or element.domain:
        return None
    texts = to(value, target)
    checks = length_checks(to(ELEMENT, TEXT), source if source.is_text else _ANY, element)
    return Fitted(texts, texts, as_type(target.sql), any_element(value, checks))


_ANY = PgType(pg.TEXT, "text", "text")


def _way(source: PgType, target: PgType) -> _Cast | None:
    if source.oid in _NUMBERS and target.oid in _NUMBERS:
        return _between_numbers(source, target)
    if source.oid == pg.BOOL and target.oid in (*pg.INTEGERS, pg.NUMERIC):
        return _Cast(lambda v: to(_int_of(v), target), _int_of_as_numeric, as_type(_NUMERIC), exact=True)
    if source.oid in pg.INTEGERS and target.oid == pg.BOOL:
        return _Cast(lambda v: sql.SQL("({}) <> 0").format(v), as_type(_NUMERIC), _int_of_as_numeric)
    return _OTHERS.get((source.oid, target.oid))


def _int_of(value: Expr) -> Expr:
    return to(value, _pg("int4"))


def _int_of_as_numeric(value: Expr) -> Expr:
    return to(_int_of(value), _NUMERIC)


def _pg(name: str) -> sql.Identifier:
    return sql.Identifier("pg_catalog", name)


# --- numbers ---------------------------------------------------------------------------------------------------------

_FLOATS = (pg.FLOAT4, pg.FLOAT8)
_NUMBERS = (*pg.INTEGERS, pg.NUMERIC, *_FLOATS)
_FLOAT8, _NUMERIC = _pg("float8"), _pg("numeric")
# What is smaller than the least normal number loses digits or raises; what is larger raises.
_LIMITS = {pg.FLOAT4: ("1.2e-38", "3.4028234e38"), pg.FLOAT8: ("2.3e-308", "1.797693134862315e308")}
_WHOLE = sql.SQL("9007199254740992::float8")
"""2^53: up to here a double counts in whole numbers."""


def _between_numbers(source: PgType, target: PgType) -> _Cast:
    if source.oid in _FLOATS:
        return _from_float(source, target)
    if target.oid in _FLOATS:
        safe = None if source.oid in pg.INTEGERS else lambda v: _in_float(v, target)
        return _Cast(
            as_type(target.sql), _digits, _digits_of_float, safe,
            lambda v: _reads_otherwise(_digits(v), _digits_of_float(to(v, target)), to(v, target)),
        )  # fmt: skip
    # A numeric into an integer; the digits say what was cut.
    return _Cast(as_type(target.sql), _digits, _digits, lambda v: within_integer(v, target))


def _from_float(source: PgType, target: PgType) -> _Cast:
    double = as_type(_FLOAT8)
    if target.oid == pg.FLOAT8:
        return _Cast(double, double, double, exact=True)
    if target.oid == pg.FLOAT4:
        return _Cast(
            as_type(target.sql), double, double, lambda v: _in_float(double(v), target, or_not_finite=True),
            lambda v: sql.SQL("{} or ({v})::text <> ({s})::text").format(
                _differ(double(v), double(to(v, target))), v=v, s=to(v, target)
            ),
        )  # fmt: skip
    if target.oid == pg.NUMERIC:
        # Through text: directly it keeps 15 digits of a double and 6 of a real. Its only zero has no sign.
        return _Cast(
            _decimal, lambda v: _digits(_decimal(v)), _digits, lambda v: negated(not_finite(double(v))), exact=True
        )
    half = sql.Literal(2.0 ** (pg.INTEGERS[target.oid] - 1))
    inside = _WHOLE if target.oid == pg.INT8 else sql.SQL("{}::float8").format(half)
    return _Cast(
        as_type(target.sql), lambda v: _without_sign_of_zero(double(v)), _whole_as_double,
        lambda v: sql.SQL("(({v}) >= -({half}) and ({v}) < {half})").format(v=double(v), half=inside),
        lambda v: sql.SQL("{} <> {}").format(_digits(_decimal(v)), _digits(to(v, target))),
    )  # fmt: skip


def _decimal(value: Expr) -> Expr:
    return to(to(value, TEXT), _NUMERIC)


def _without_sign_of_zero(double: Expr) -> Expr:
    """As an integer has it: by IEEE 754, -0 and 0 add up to 0, and every other number stays."""
    return sql.SQL("({} + 0::float8)").format(double)


def _reads_otherwise(digits: Expr, exact: Expr, stored: Expr) -> Expr:
    """The float is another number, or shows other digits: a real of 2147483648 reads 2.1474836e+09."""
    return sql.SQL("{digits} <> {exact} or {digits} <> {shown}").format(
        digits=digits, exact=exact, shown=_digits(_decimal(stored))
    )


def _whole_as_double(value: Expr) -> Expr:
    """An integer as a double; none where several integers would be the same double."""
    return guarded(sql.SQL("({v}) between -9007199254740992 and 9007199254740992").format(v=value), to(value, _FLOAT8))


def _in_float(value: Expr, target: PgType, *, or_not_finite: bool = False) -> Expr:
    least, most = (sql.SQL("{}::numeric").format(sql.Literal(limit)) for limit in _LIMITS[target.oid])
    inside = sql.SQL("(({v}) = 0 or abs({v}) between {least} and {most})").format(v=value, least=least, most=most)
    return sql.SQL("({} or {})").format(inside, not_finite(value)) if or_not_finite else inside


def _digits_of_float(value: Expr) -> Expr:
    """The number that a client reads; of a real, as the double that it is."""
    return _digits(_decimal(to(value, _FLOAT8)))


def _digits(number: Expr) -> Expr:
    """A number as text without trailing zeros: equal numbers, equal texts."""
    text = to(to(number, _NUMERIC), TEXT)
    return sql.SQL("case when strpos({t}, '.') > 0 then rtrim(rtrim({t}, '0'), '.') else {t} end").format(t=text)


# --- dates, times, networks, documents -------------------------------------------------------------------------------


def _date_as_timestamp(value: Expr) -> Expr:
    return guarded(_within_timestamps(value), to(value, _pg("timestamp")))


def _within_timestamps(value: Expr) -> Expr:
    return sql.SQL("(({v}) = 'infinity'::date or ({v}) < '294277-01-01'::date)").format(v=value)


def _finite(value: Expr) -> Expr:
    return sql.SQL("isfinite({})").format(value)


_TIMESTAMP, _INTERVAL, _INET = as_type(_pg("timestamp")), as_type(_pg("interval")), as_type(_pg("inet"))
_OTHERS = {
    (pg.DATE, pg.TIMESTAMP): _Cast(_TIMESTAMP, _date_as_timestamp, _TIMESTAMP, _within_timestamps, exact=True),
    (pg.TIMESTAMP, pg.DATE): _Cast(as_type(_pg("date")), _TIMESTAMP, _date_as_timestamp),
    (pg.TIME, pg.INTERVAL): _Cast(_INTERVAL, _INTERVAL, _INTERVAL, exact=True),
    (pg.INTERVAL, pg.TIME): _Cast(as_type(_pg("time")), _INTERVAL, _INTERVAL, _finite),
    (pg.INET, pg.CIDR): _Cast(as_type(_pg("cidr")), _INET, _INET),
    (pg.JSONB, pg.JSON): _Cast(as_type(_pg("json")), as_type(TEXT), as_type(TEXT), exact=True),
}
