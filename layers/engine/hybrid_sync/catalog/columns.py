"""A catalog column as SQL, and the pairs of types whose binary form means the same on both sides.

The allow-list is by type OID because PostgreSQL checks only the length of a binary value: bigint into timestamptz,
or date into int, would arrive as silent garbage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from hybrid_sync.catalog.forms import Cast, Column, Constant, EnumMap, Json, JsonObject, Lower, Sql
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import LegacyColumn, TargetColumn
from hybrid_sync.errors import StructureMismatch

Expr = sql.Composable

_INTEGERS = {21: 2, 23: 4, 20: 8}
_TEXTS = {25, 1043, 1042, 19, 705}
_TEXT_TARGETS = {25, 1043}
_NUMERIC, _JSONB, _JSON, _UNKNOWN, _BPCHAR = 1700, 3802, 114, 705, 1042
_LAST_BUILTIN_OID = 16_383
_PAIRS = 50
_SAME = {
    16: "boolean", 17: "bytea", 700: "real", 701: "double precision", 1082: "date", 1083: "time", 1114: "timestamp",
    1184: "timestamptz", 1186: "interval", 1266: "timetz", 2950: "uuid", 869: "inet", 650: "cidr", 829: "macaddr",
    3802: "jsonb", 1009: "text[]", 1007: "integer[]", 1016: "bigint[]", 1005: "smallint[]", 1231: "numeric[]",
    1015: "varchar[]", 2951: "uuid[]", 1000: "boolean[]",
}  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """An expression whose bytes the target column takes, and the conditions under which a row must not be sent."""

    expr: Expr
    checks: list[tuple[Expr, str]] = field(default_factory=list)


def raw(text: str) -> sql.SQL:
    """SQL that the catalog's author wrote; the catalog is code, reviewed and deployed like code."""
    return sql.SQL(text)


def expression(column: Column) -> Expr:
    """The column's value before any cast to the target's type."""
    match column:
        case Sql():
            return sql.SQL("({})").format(raw(column.sql))
        case Cast():
            return sql.SQL("({})").format(raw(column.cast))
        case Lower():
            return sql.SQL("lower({})").format(raw(column.lower))
        case Json():
            return sql.SQL("({})").format(raw(column.json_text))
        case Constant():
            return sql.Literal(column.constant)
        case EnumMap():
            return _enum(column)
        case JsonObject():
            return _object(column)


def _object(column: JsonObject) -> Expr:
    """One object, built in parts: a function takes a hundred arguments at most."""
    pairs = [sql.SQL("{}::text, {}").format(sql.Literal(k), raw(v)) for k, v in column.object.items()]
    parts = [
        sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs[at : at + _PAIRS]))
        for at in range(0, max(len(pairs), 1), _PAIRS)
    ]
    return sql.SQL("({})").format(sql.SQL(" || ").join(parts))


def _enum(column: EnumMap) -> Expr:
    arms = [
        sql.SQL("when {} then {}::text").format(sql.Literal(str(code)), sql.Literal(word))
        for code, word in column.values.items()
    ]
    return sql.SQL("case ({})::text {} end").format(raw(column.enum), sql.SQL(" ").join(arms))


def literal(value: str, column: TargetColumn) -> Expr:
    """A constant in the form the target column takes."""
    return sql.SQL("{}::{}").format(sql.Literal(value), raw("text" if column.labels else column.type_sql))


def fit(
    entity: Entity, name: str, spec: Column, natural: LegacyColumn, target: TargetColumn, *, is_money: bool
) -> Fitted:
    """The column as the target takes it; StructureMismatch where no exact form exists."""
    expr = expression(spec)
    checks: list[tuple[Expr, str]] = []
    if isinstance(spec, EnumMap):
        codes = sql.SQL(", ").join(sql.Literal(str(code)) for code in spec.values)
        code = raw(spec.enum)
        checks.append((sql.SQL("({})::text not in ({})").format(code, codes), "unknown_enum"))
        _labels_exist(entity, name, spec, target)
    if isinstance(spec, Cast):
        return Fitted(sql.SQL("{}::{}").format(expr, raw(target.type_sql)), _cast_checks(expr, target))
    if isinstance(spec, Constant):
        return Fitted(sql.SQL("{}::{}").format(expr, raw("text" if target.labels else target.type_sql)), checks)
    if natural.type_oid == _UNKNOWN:
        return Fitted(sql.SQL("{}::{}").format(expr, raw("text" if target.labels else target.type_sql)), checks)
    base, oid = target.base_oid, natural.type_oid
    if target.labels and oid in _TEXTS:
        if not isinstance(spec, EnumMap):
            labels = sql.SQL(", ").join(sql.Literal(label) for label in target.labels)
            checks.append((sql.SQL("{}::text not in ({})").format(expr, labels), "unknown_enum"))
        return Fitted(sql.SQL("{}::text").format(expr), checks)
    if base in _TEXT_TARGETS and oid in _TEXTS:
        if target.max_length is not None and (natural.max_length is None or natural.max_length > target.max_length):
            too_long = sql.SQL("char_length({}::text) > {}").format(expr, sql.Literal(target.max_length))
            checks.append((too_long, "value_too_long"))
        return Fitted(sql.SQL("{}::text").format(expr), checks)
    if base in _INTEGERS and oid in _INTEGERS and _INTEGERS[oid] <= _INTEGERS[base]:
        return Fitted(sql.SQL("{}::{}").format(expr, raw(_type_name(base))), checks)
    if base == _NUMERIC and (oid == _NUMERIC or oid in _INTEGERS):
        return Fitted(sql.SQL("{}::numeric").format(expr), checks + _numeric_checks(expr, natural, target, is_money))
    if base == oid and base in _SAME:
        return Fitted(expr, checks)
    raise StructureMismatch(
        f"{entity.entity}.{name}: legacy gives {natural.type_name}, which does not fit {target.type_sql} exactly.",
        _advice(base, oid, target),
    )


def _type_name(oid: int) -> str:
    return {21: "int2", 23: "int4", 20: "int8"}[oid]


def stored_type(target: TargetColumn) -> str:
    """The type whose binary form is a value's canonical one, with the modifiers that the target stores it under.

    Built in on every server, so that both sides can cast to it: texts, enums and types of extensions travel as text.
    """
    if target.labels or target.base_oid in _TEXT_TARGETS or target.base_oid > _LAST_BUILTIN_OID:
        return "text"
    if target.type_oid == target.base_oid:
        return target.type_sql
    if target.base_oid == _NUMERIC and target.precision is not None:
        return f"numeric({target.precision},{target.scale})"
    return {**_SAME, _NUMERIC: "numeric", _BPCHAR: "text", 21: "int2", 23: "int4", 20: "int8"}.get(
        target.base_oid, "text"
    )


def _cast_checks(expr: Expr, target: TargetColumn) -> list[tuple[Expr, str]]:
    """Rows that an explicit cast would cut or round without a word."""
    if target.base_oid in _TEXT_TARGETS and target.max_length is not None:
        return [(sql.SQL("char_length({}::text) > {}").format(expr, sql.Literal(target.max_length)), "value_too_long")]
    if target.base_oid == _NUMERIC and target.scale is not None:
        number = sql.SQL("{}::numeric").format(expr)
        return [(sql.SQL("{} <> round({}, {})").format(number, number, sql.Literal(target.scale)), "numeric_scale")]
    return []


def _labels_exist(entity: Entity, name: str, spec: EnumMap, target: TargetColumn) -> None:
    unknown = [word for word in spec.values.values() if target.labels and word not in target.labels]
    if unknown:
        raise StructureMismatch(
            f"{entity.entity}.{name}: the target's type {target.type_sql} has no label {', '.join(unknown)}.",
            f"Map to one of {', '.join(target.labels)}.",
        )


def _numeric_checks(expr: Expr, natural: LegacyColumn, target: TargetColumn, is_money: bool) -> list[tuple[Expr, str]]:
    """Rows whose number the target would round, refuse, or take as NaN; nothing where the types exclude it."""
    checks: list[tuple[Expr, str]] = []
    if natural.type_oid in _INTEGERS:
        digits, scale = {21: 5, 23: 10, 20: 19}[natural.type_oid], 0
    else:
        scale = natural.scale if natural.precision else None  # type: ignore[assignment]
        digits = (natural.precision - natural.scale) if natural.precision else None  # type: ignore[operator,assignment]
        if is_money:
            checks.append((sql.SQL("{} = 'NaN'::numeric").format(expr), "numeric_out_of_range"))
    if target.scale is None or target.precision is None:
        return checks
    if scale is None or scale > target.scale:
        rounded = sql.SQL("{} <> round({}, {})").format(expr, expr, sql.Literal(target.scale))
        checks.append((rounded, "numeric_scale"))
    if digits is None or digits > target.precision - target.scale:
        limit = sql.Literal("1" + "0" * (target.precision - target.scale))
        checks.append((sql.SQL("abs({}) >= {}::numeric").format(expr, limit), "numeric_out_of_range"))
    return checks


def _advice(base: int, oid: int, target: TargetColumn) -> str:
    if base == _JSONB and (oid in _TEXTS or oid == _JSON):
        return "Write `json: expression`, which checks each row."
    if base in _TEXT_TARGETS:
        return "Write `cast: expression` if its text form is meant."
    if oid == 1114 and base == 1184:
        return "Say the zone: `expression at time zone 'UTC'`."
    if target.labels:
        return "Write `enum:` with `values:`."
    return "Write an SQL expression of the target's type, or `cast:` where the cast cannot fail."
