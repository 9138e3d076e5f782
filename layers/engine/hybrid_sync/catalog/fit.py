"""A column as its target takes it, and what is asked of a row so that its value, and money above all, is exact."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.exact import TEXT, Expr, Fitted, not_finite, to, with_checks
from hybrid_sync.catalog.forms import Cast, Constant, Form
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType


def fit(place: str, form: Form, natural: PgType, target: TargetColumn, *, is_money: bool = False) -> Fitted:
    """The column `place` (`entity.column`) in an exact form; StructureMismatch where there is none.

    `natural` is the type of the form's value in legacy.
    """
    if is_money:
        _require_money(place, form, natural, target)
    found = form.fit(place, natural, target)
    if found is None:
        from hybrid_sync.catalog.advice import refusal  # seldom

        raise refusal(place, form, natural, target.type, target.type_sql)
    if is_money and natural.oid == pg.NUMERIC and not isinstance(form, Constant):
        found = with_checks(found, [(not_finite(form.value), "numeric_out_of_range")])
    return found


def _require_money(place: str, form: Form, natural: PgType, target: TargetColumn) -> None:
    """Decimal on both sides: a sum of doubles is right only by chance."""
    if target.type.oid != pg.NUMERIC and target.type.oid not in pg.INTEGERS:
        raise StructureMismatch(
            f"{place}: money needs a decimal number, and the target column is {target.type_sql}.",
            "Make it numeric with a scale, such as numeric(12,2).",
        )
    if isinstance(form, Constant) or natural.oid == pg.NUMERIC or natural.oid in pg.INTEGERS:
        return
    if natural.oid in (pg.FLOAT4, pg.FLOAT8) and isinstance(form, Cast):
        return
    written = "expression" if isinstance(form, Cast) else form.shown
    if natural.oid in (pg.FLOAT4, pg.FLOAT8):
        raise StructureMismatch(
            f"{place}: money needs a decimal number, and legacy gives {natural.shown}.",
            f"Write `cast: {written}`, which fails each row that is not exact in {target.type_sql}, or round in SQL:"
            f" `round(({written})::numeric, 2)`.",
        )
    raise StructureMismatch(
        f"{place}: money needs a decimal number, and legacy gives {natural.name}.",
        f"Write an expression of type numeric, such as `({written})::numeric`.",
    )


def amount(form: Form, natural: PgType) -> Expr:
    """What legacy has of a money column, as a numeric: of a double the digits that it shows, no more and no less."""
    value = to(form.value, TEXT) if natural.oid in (pg.FLOAT4, pg.FLOAT8) else form.value
    return sql.SQL("({})::numeric").format(value)
