"""Where a row's unique value waits while another row takes it: at values that nobody has, and that never commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.schema.uniqueness import Uniqueness

Space = Mapping[str, sql.Composable]
"""Columns with expressions over the row `t` and its line `s`, whose number is `s.hybrid_sync_n`."""

_TEXTS = (25, 1042, 1043)
# A digit string of the row's id before the old value: most formats (an e-mail address, a phone number) still hold.
_PREFIX = "lpad(abs(('x' || md5(t.id::text))::bit(63)::bigint)::text, 19, '0')"
_LETTERS = " || ".join(f"chr({{last}} - mod(s.hybrid_sync_n / {26**place}, 26))" for place in range(5, -1, -1))
# As long as the old value, of digits or of letters, counted down from the last.
_ALIKE = (
    "right((999999999999999999 - s.hybrid_sync_n)::text, length(t.{column}))",
    f"right(repeat('Z', 40) || {_LETTERS.format(last=90)}, length(t.{{column}}))",
    f"right(repeat('z', 40) || {_LETTERS.format(last=122)}, length(t.{{column}}))",
)
# From both ends of each type: a check may forbid one of them.
_BY_TYPE = {
    16: ("not t.{column}",),
    17: ("decode(md5('parked ' || t.id), 'hex')",),
    20: ("-9223372036854775808 + s.hybrid_sync_n", "9223372036854775807 - s.hybrid_sync_n"),
    21: ("(-32768 + s.hybrid_sync_n)::int2", "(32767 - s.hybrid_sync_n)::int2"),
    23: ("-2147483648 + s.hybrid_sync_n", "2147483647 - s.hybrid_sync_n"),
    700: ("(-3.4e38 + s.hybrid_sync_n * 1e32)::float4", "(3.4e38 - s.hybrid_sync_n * 1e32)::float4"),
    701: ("-1.7e308::float8 + s.hybrid_sync_n * 1e293::float8", "1.7e308::float8 - s.hybrid_sync_n * 1e293::float8"),
    869: ("inet 'fd00::' + s.hybrid_sync_n",),
    1082: ("date '0001-01-01' + s.hybrid_sync_n", "date '9999-12-31' - s.hybrid_sync_n"),
    1083: ("time '00:00' + s.hybrid_sync_n * interval '1 microsecond'",),
    1114: (
        "timestamp '0001-01-01' + s.hybrid_sync_n * interval '1 day'",
        "timestamp '9999-12-31' - s.hybrid_sync_n * interval '1 day'",
    ),
    1184: (
        "timestamptz '0001-01-01Z' + s.hybrid_sync_n * interval '1 day'",
        "timestamptz '9999-12-31Z' - s.hybrid_sync_n * interval '1 day'",
    ),
    1186: ("make_interval(years => -100000, hours => s.hybrid_sync_n)",),
    2950: ("md5('parked ' || t.id)::uuid",),
    3802: ("to_jsonb('parked ' || t.id)",),
    # A period of the row's own, apart from all that anybody means; an empty one meets no other, where it is allowed.
    3904: ("int4range(-2147483648 + s.hybrid_sync_n * 2, -2147483647 + s.hybrid_sync_n * 2)", "int4range 'empty'"),
    3906: ("numrange(-1e30 + s.hybrid_sync_n * 2, -1e30 + s.hybrid_sync_n * 2 + 1)", "numrange 'empty'"),
    3908: (
        "tsrange(timestamp '0001-01-01' + s.hybrid_sync_n * interval '1 day',"
        " timestamp '0001-01-01 12:00' + s.hybrid_sync_n * interval '1 day')",
        "tsrange 'empty'",
    ),
    3910: (
        "tstzrange(timestamptz '0001-01-01Z' + s.hybrid_sync_n * interval '24 hours',"
        " timestamptz '0001-01-01 12:00Z' + s.hybrid_sync_n * interval '24 hours')",
        "tstzrange 'empty'",
    ),
    3912: (
        "daterange(date '0001-01-01' + s.hybrid_sync_n * 2, date '0001-01-01' + s.hybrid_sync_n * 2 + 1)",
        "daterange 'empty'",
    ),
    3926: (
        "int8range(-9223372036854775807 + s.hybrid_sync_n::bigint * 2,"
        " -9223372036854775806 + s.hybrid_sync_n::bigint * 2)",
        "int8range 'empty'",
    ),
    4451: ("int4multirange '{{}}'",),
    4532: ("nummultirange '{{}}'",),
    4533: ("tsmultirange '{{}}'",),
    4534: ("tstzmultirange '{{}}'",),
    4535: ("datemultirange '{{}}'",),
    4536: ("int8multirange '{{}}'",),
}
_NUMERIC = 1700
_MOST_LABELS = 20


def spaces(index: Uniqueness, columns: Sequence[TargetColumn]) -> list[Space]:
    """Ways out of the index over columns that are set back anyway; NULL first, what may collide last."""
    found: list[Space] = []
    if not index.nulls_equal:
        # A row elsewhere that followed a value into NULL would refer to nothing, and not come back with it.
        found += [{c.name: sql.SQL("null")} for c in columns if not c.not_null and c.name not in index.followed]
    each = {c.name: _unused(c) for c in columns}
    # A period of two columns ends before it begins unless both move: to one moment that is the row's own.
    dated = sorted((c for c in columns if c.base_oid in (1082, 1114, 1184)), key=lambda c: c.base_oid)
    for _, alike in groupby(dated, key=lambda c: c.base_oid):
        names = [c.name for c in alike]
        if len(names) > 1:
            found += [dict.fromkeys(names, value) for value in each[names[0]]]
    found += [{name: value} for name, values in each.items() for value in values]
    found += [
        {c.name: sql.SQL("{}::{}").format(sql.Literal(label), raw(c.type_sql))}
        for c in columns
        for label in c.labels[:_MOST_LABELS]
    ]
    return found


def _unused(column: TargetColumn) -> list[sql.Composable]:
    """Values of the column's type that belong to this row alone; none for a reference, which must lead somewhere."""
    if column.references is not None or column.labels:
        return []
    if column.base_oid in _TEXTS or column.type_sql.rpartition(".")[2] == "citext":
        prefix, name = raw(_PREFIX), sql.Identifier(column.name)
        whole = sql.SQL("{} || t.{}").format(prefix, name)
        short = sql.SQL("right({}, {})").format(prefix, sql.Literal(min(column.max_length or 19, 19)))
        alike = [raw(text).format(column=name) for text in _ALIKE]
        return [whole, short, *alike]
    if column.base_oid == _NUMERIC:
        return _unused_numbers(column)
    return [raw(text).format(column=sql.Identifier(column.name)) for text in _BY_TYPE.get(column.base_oid, ())]


def _unused_numbers(column: TargetColumn) -> list[sql.Composable]:
    if column.precision is None or column.scale is None:
        digits = "9" * 40
    else:
        digits = "9" * max(column.precision - column.scale, 1)
    most = sql.Literal(digits)
    return [
        sql.SQL("(-{}::numeric + s.hybrid_sync_n)").format(most),
        sql.SQL("({}::numeric - s.hybrid_sync_n)").format(most),
    ]
