"""What to write instead: the sentence for a pair of types that do not fit."""

from __future__ import annotations

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.forms import Cast, Constant, Form
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType

_DAYS = (pg.DATE, pg.TIME, pg.TIMESTAMP)
_ZONED = (pg.TIMESTAMPTZ, pg.TIMETZ)


def refusal(
    place: str, spec: Form, natural: PgType, target: PgType, type_sql: str
) -> StructureMismatch:  # fmt: skip
    """The error for a column whose values have no exact form in the target's type."""
    if isinstance(spec, Constant):
        return StructureMismatch(
            f"{place}: a constant cannot be written as {type_sql}, a type that legacy need not have.",
            "Let a default of the target column give the value, and take the column out of the catalog.",
        )
    how = "cannot be cast to" if isinstance(spec, Cast) else "does not fit"
    return StructureMismatch(
        f"{place}: legacy gives {natural.name}, which {how} {type_sql} exactly.",
        _special(natural, target) or _advice(spec, natural, target),
    )


def _special(natural: PgType, target: PgType) -> str | None:
    """Advice for types whose values no other server can read, whatever expression is written around them; None for
    others."""
    for kind in (target, natural):
        if kind.element is not None and (not kind.element.builtin or kind.element.domain):
            return (
                f"Elements of type {kind.element.shown} have another number on each server: make the target column"
                " text[] and write `cast: (expression)::text[]`."
            )
        if kind.kind == "c":
            return (
                f"Map the fields of {kind.shown} one by one, such as `(expression).field`, or its text form to a text"
                " column."
            )
        if kind.kind in "rm" and not kind.builtin:
            return f"Map lower() and upper() of {kind.shown} to columns of their own, or its text to a text column."
        if kind.typname == "money" and kind.builtin:
            return "The digits of type money depend on a server's locale: make it numeric, `(expression)::numeric`."
        if kind.typname.startswith("reg") and kind.builtin:
            return f"A {kind.typname} is a number that only its own server understands: write `(expression)::text`."
        if not kind.builtin and not kind.labels and not kind.extension:
            return f"{kind.shown} is a type of that database alone: map its text form to a text column with `cast:`."
    return None


def _advice(spec: Form, natural: PgType, target: PgType) -> str:
    written = spec.shown
    if target.oid == pg.JSONB and (natural.is_text or natural.oid == pg.JSON):
        return f"Write `json: {written}`, which checks each row."
    if target.oid == pg.JSONB:
        return f"Write `to_jsonb({written})`."
    if (natural.oid in _DAYS and target.oid in _ZONED) or (natural.oid in _ZONED and target.oid in _DAYS):
        return f"Say the zone: `({written}) at time zone 'UTC'`."
    if target.labels:
        return "Write `enum:` with `values:`."
    if isinstance(spec, Cast) and natural.is_text:
        return (
            "A text that is none would end the read of all rows: test it in SQL, such as `case when code ~"
            " '^[0-9]+$' then code::bigint end`, and write a `fail` rule for the others."
        )
    if isinstance(spec, Cast):
        return f"Write the conversion in SQL, so that its type is {target.name}."
    if target.is_text:
        return f"Write `cast: {written}` if its text form is meant."
    return (
        f"Write an SQL expression of the target's type, or `cast: {written}` where each row is to be checked for"
        " whether it survives the cast."
    )
