"""A catalog column as SQL: each form's expression, and what is asked of a row so that its value arrives exactly."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.advice import refusal
from hybrid_sync.catalog.casts import cast
from hybrid_sync.catalog.exact import TEXT, Expr, Fitted, as_type, fits, not_finite, to, with_checks
from hybrid_sync.catalog.forms import Cast, Column, Constant, EnumMap, Json, JsonObject, Lower, Sql
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType

_PAIRS = 50


def raw(text: str) -> sql.SQL:
    """SQL that the catalog's author wrote; the catalog is code, reviewed and deployed like code."""
    return sql.SQL(text)


def spliced(text: str) -> sql.Composed:
    """The author's expression in parentheses, so that what stands beside it in our SQL cannot tear it apart."""
    return sql.SQL("({})").format(raw(text))


def expression(column: Column) -> Expr:
    """The column's value before any cast to the target's type."""
    match column:
        case Sql():
            return spliced(column.sql)
        case Cast():
            return spliced(column.cast)
        case Lower():
            return sql.SQL("lower({})").format(spliced(column.lower))
        case Json():
            return spliced(column.json_text)
        case Constant():
            return sql.Literal(column.constant)
        case EnumMap():
            return _enum(column)
        case JsonObject():
            return _object(column)


def _object(column: JsonObject) -> Expr:
    """One object, built in parts: a function takes a hundred arguments at most."""
    pairs = [sql.SQL("{}::text, {}").format(sql.Literal(k), spliced(v)) for k, v in column.object.items()]
    parts = [
        sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs[at : at + _PAIRS]))
        for at in range(0, max(len(pairs), 1), _PAIRS)
    ]
    return sql.SQL("({})").format(sql.SQL(" || ").join(parts))


def _enum(column: EnumMap) -> Expr:
    arms = [
        sql.SQL("when {} then {}::text").format(sql.Literal(code), sql.Literal(word))
        for code, word in column.values.items()
    ]
    # The codes are literals without a type, so they take that of the expression: 010 is 10 to an integer.
    return sql.SQL("case ({}) {} end").format(raw(column.enum), sql.SQL(" ").join(arms))


def fit(entity: Entity, name: str, spec: Column, natural: PgType, target: TargetColumn, *, is_money: bool) -> Fitted:
    """The column as the target takes it; StructureMismatch where no exact form exists."""
    if is_money:
        _require_money(entity, name, spec, natural, target)
    value = expression(spec)
    match spec:
        case Constant():
            return fit_constant(entity, name, spec.constant, target)
        case Json():
            return _fit_json(entity, name, value, target)
        case EnumMap():
            _labels_exist(entity, name, spec.values.values(), target)
            found = fits(value, _word_of(spec), target.type)
            if found is not None:
                found = with_checks(found, [_unknown_code(spec)])
        case Cast():
            found = cast(value, natural, target.type)
        case _:
            found = fits(value, natural, target.type)
    if found is None:
        raise refusal(entity.entity, name, spec, natural, target.type, target.type_sql)
    if is_money and natural.oid == pg.NUMERIC:
        found = with_checks(found, [(not_finite(value), "numeric_out_of_range")])
    return found


def fit_constant(entity: Entity, name: str, constant: object, target: TargetColumn) -> Fitted:
    """The same value in every row, in the form the target column takes."""
    kind = target.type
    if constant is not None:
        _labels_exist(entity, name, [str(constant)], target)
    text = bool(kind.labels) or kind.is_citext
    value = to(sql.Literal(constant), TEXT if text else kind)
    natural = _TEXT if text else kind.bare
    found = fits(value, natural, kind) if text or kind.builtin else None
    if found is None:
        raise refusal(entity.entity, name, Constant(constant=None), natural, kind, target.type_sql)
    return found


_TEXT = PgType(pg.TEXT, "text", "text")


def _word_of(spec: EnumMap) -> PgType:
    """The words of a map are known, so a column that holds the longest of them asks nothing."""
    return PgType(pg.TEXT, "text", "text", labels=tuple(dict.fromkeys(spec.values.values())))


def _unknown_code(spec: EnumMap) -> tuple[Expr, str]:
    codes = sql.SQL(", ").join(sql.Literal(code) for code in spec.values)
    return sql.SQL("({}) not in ({})").format(raw(spec.enum), codes), "unknown_enum"


def _fit_json(entity: Entity, name: str, value: Expr, target: TargetColumn) -> Fitted:
    """Text that is looked at row by row, and becomes jsonb without another look by legacy."""
    if target.type.oid != pg.JSONB:
        raise StructureMismatch(
            f"{entity.entity}.{name}: `json:` makes jsonb, and the target column is {target.type_sql}.",
            "Make the target column jsonb, or write the expression without `json:`.",
        )
    text = to(value, TEXT)
    return Fitted(text, to(text, target.type), as_type(target.type.sql))


def _labels_exist(entity: Entity, name: str, words: object, target: TargetColumn) -> None:
    labels = target.type.labels
    unknown = [word for word in words if labels and word not in labels]  # type: ignore[attr-defined]
    if unknown:
        raise StructureMismatch(
            f"{entity.entity}.{name}: the target's type {target.type_sql} has no label {', '.join(unknown)}.",
            f"Map to one of {', '.join(labels)}.",
        )


# --- money -----------------------------------------------------------------------------------------------------------


def _require_money(entity: Entity, name: str, spec: Column, natural: PgType, target: TargetColumn) -> None:
    """Decimal on both sides: a sum of doubles is right only by chance."""
    place = f"{entity.entity}.{name}: money"
    if target.type.oid != pg.NUMERIC and target.type.oid not in pg.INTEGERS:
        raise StructureMismatch(
            f"{place} needs a decimal number, and the target column is {target.type_sql}.",
            "Make it numeric with a scale, such as numeric(12,2).",
        )
    if isinstance(spec, Constant) or natural.oid == pg.NUMERIC or natural.oid in pg.INTEGERS:
        return
    if natural.oid in (pg.FLOAT4, pg.FLOAT8) and isinstance(spec, Cast):
        return
    written = spec.sql if isinstance(spec, Sql) else "expression"
    if natural.oid in (pg.FLOAT4, pg.FLOAT8):
        raise StructureMismatch(
            f"{place} needs a decimal number, and legacy gives {natural.shown}.",
            f"Write `cast: {written}`, which fails each row that is not exact in {target.type_sql}, or round in SQL:"
            f" `round(({written})::numeric, 2)`.",
        )
    raise StructureMismatch(
        f"{place} needs a decimal number, and legacy gives {natural.name}.",
        f"Write an expression of type numeric, such as `({written})::numeric`.",
    )


def amount(spec: Column, natural: PgType) -> Expr:
    """What legacy has of a money column, as a numeric: of a double the digits that it shows, no more and no less."""
    value = expression(spec)
    if natural.oid in (pg.FLOAT4, pg.FLOAT8):
        value = to(value, TEXT)
    return sql.SQL("({})::numeric").format(value)
