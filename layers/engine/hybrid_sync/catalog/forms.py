"""The forms in which a catalog file fills a column: each is one class that owns its words, its SQL and its fit.

A form with a check of its own looks at each value's bytes in Python, since a cast that fails in the SELECT would end
the read of every row.  A new form is a class here and its name in `FORMS`.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from psycopg import sql
from pydantic import Discriminator, Field, Tag, model_validator

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.casts import cast
from hybrid_sync.catalog.columns import raw, spliced
from hybrid_sync.catalog.exact import TEXT, Expr, Fitted, as_type, fits, to, with_checks
from hybrid_sync.catalog.grammar import RowExpression, Strict, Word
from hybrid_sync.catalog.json_text import as_jsonb
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType

Part = tuple[tuple[object, ...], str]
"""Where an expression stands below its column, and the expression."""
Stored = Callable[[bytes], bytes]
"""From what legacy sends to what the target takes; ValueError with the reason of a failed record."""
_BARE = re.compile(r"\w+\.\w+")
_PAIRS = 50
_TEXT = PgType(pg.TEXT, "text", "text")


class Form(Strict):
    """What every form is asked; the usual answers are of a form with one expression, named like its word."""

    word: ClassVar[str]
    """The key by which a file names the form."""
    adoptable: ClassVar[bool] = True
    """Whether its value can say which native row of the target is the same thing."""
    as_written: ClassVar[bool] = False
    """Whether it reads the expression as it is, so that a bare column can be measured without being computed."""

    @property
    def parts(self) -> Sequence[Part]:
        """The expressions that the catalog's author wrote."""
        return [((self.word,), getattr(self, self.word))]

    @property
    def shown(self) -> str:
        """What stands for it in a sentence about what to write instead."""
        return "expression"

    @property
    def value(self) -> Expr:
        """The column's value before any cast to the target's type."""
        [(_, text)] = self.parts
        return spliced(text)

    @property
    def stored(self) -> Stored | None:
        """Where each value's bytes have to be looked at, what looks at them."""
        return None

    @property
    def is_bare_column(self) -> bool:
        return self.as_written and _BARE.fullmatch(self.parts[0][1]) is not None

    def fit(self, place: str, natural: PgType, target: TargetColumn) -> Fitted | None:
        """The value as the target takes it, None where it has no exact form; `place` begins a StructureMismatch."""
        return fits(self.value, natural, target.type)


class Sql(Form):
    """Any SQL expression over the source's tables; its type must fit the target column exactly."""

    word = "sql"
    as_written = True
    sql: RowExpression

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, value: object) -> object:
        """The form of a column that is just a text."""
        return {"sql": value} if isinstance(value, str) else value

    @property
    def parts(self) -> Sequence[Part]:
        return [((), self.sql)]

    @property
    def shown(self) -> str:
        return self.sql


class Cast(Form):
    """An expression cast to the target column's type; a row whose value does not come back as it was is failed."""

    word = "cast"
    cast: RowExpression

    @property
    def shown(self) -> str:
        return self.cast

    def fit(self, place: str, natural: PgType, target: TargetColumn) -> Fitted | None:
        return cast(self.value, natural, target.type)


class Constant(Form):
    """The same value in every row: the text as it is spelled, read by the target column's type; null is NULL."""

    word = "constant"
    adoptable = False
    constant: Word | None

    @property
    def parts(self) -> Sequence[Part]:
        return []

    @property
    def value(self) -> Expr:
        return sql.Literal(self.constant)

    def fit(self, place: str, natural: PgType, target: TargetColumn) -> Fitted | None:
        kind = target.type
        if self.constant is not None:
            _require_labels(place, [self.constant], target)
        text = bool(kind.labels) or kind.is_citext
        value = to(self.value, TEXT if text else kind)
        return fits(value, _TEXT if text else kind.bare, kind) if text or kind.builtin else None


class EnumMap(Form):
    """A legacy code mapped to a word; a code that is not listed makes the row a failed record.

    A code is spelled as it stands in the file and compared in the type of the legacy value: `010` is 10 for an
    integer, and a text of three characters for a text.
    """

    word = "enum"
    enum: RowExpression
    values: Annotated[dict[Word, Word], Field(min_length=1)]

    @property
    def value(self) -> Expr:
        arms = [
            sql.SQL("when {} then {}::text").format(sql.Literal(code), sql.Literal(word))
            for code, word in self.values.items()
        ]
        # The codes are literals without a type, so they take that of the expression: 010 is 10 to an integer.
        return sql.SQL("case ({}) {} end").format(raw(self.enum), sql.SQL(" ").join(arms))

    def fit(self, place: str, natural: PgType, target: TargetColumn) -> Fitted | None:
        _require_labels(place, self.values.values(), target)
        # The words are known, so a column that holds the longest of them asks nothing.
        words = PgType(pg.TEXT, "text", "text", labels=tuple(dict.fromkeys(self.values.values())))
        found = fits(self.value, words, target.type)
        codes = sql.SQL(", ").join(sql.Literal(code) for code in self.values)
        unknown = sql.SQL("({}) not in ({})").format(raw(self.enum), codes)
        return None if found is None else with_checks(found, [(unknown, "unknown_enum")])


class Json(Form):
    """Legacy text that must be strict JSON; anything else makes the row a failed record."""

    word = "json"
    adoptable = False
    as_written = True
    json_text: Annotated[RowExpression, Field(alias="json")]

    @property
    def parts(self) -> Sequence[Part]:
        return [(("json",), self.json_text)]

    @property
    def stored(self) -> Stored:
        return as_jsonb

    def fit(self, place: str, natural: PgType, target: TargetColumn) -> Fitted | None:
        """Text that is looked at row by row, and becomes jsonb without another look by legacy."""
        if target.type.oid != pg.JSONB:
            raise StructureMismatch(
                f"{place}: `json:` makes jsonb, and the target column is {target.type_sql}.",
                "Make the target column jsonb, or write the expression without `json:`.",
            )
        text = to(self.value, TEXT)
        return Fitted(text, to(text, target.type), as_type(target.type.sql))


class Lower(Form):
    """Text in lower case."""

    word = "lower"
    lower: RowExpression

    @property
    def value(self) -> Expr:
        return sql.SQL("lower({})").format(spliced(self.lower))


class JsonObject(Form):
    """A jsonb object built from named expressions, for `metadata`."""

    word = "object"
    adoptable = False
    object: Annotated[dict[Word, RowExpression], Field(min_length=1)]

    @property
    def parts(self) -> Sequence[Part]:
        return [(("object", key), text) for key, text in self.object.items()]

    @property
    def value(self) -> Expr:
        """One object, built in parts: a function takes a hundred arguments at most."""
        pairs = [sql.SQL("{}::text, {}").format(sql.Literal(k), spliced(v)) for k, v in self.object.items()]
        parts = [
            sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs[at : at + _PAIRS]))
            for at in range(0, len(pairs), _PAIRS)
        ]
        return sql.SQL("({})").format(sql.SQL(" || ").join(parts))


FORMS: tuple[type[Form], ...] = (Sql, Cast, Constant, EnumMap, Json, Lower, JsonObject)


def words() -> list[str]:
    """How each form is written in a file, for a sentence that names all of them."""
    return [" + ".join(str(field.alias or name) for name, field in form.model_fields.items()) for form in FORMS]


def _require_labels(place: str, wanted: Iterable[str], target: TargetColumn) -> None:
    labels = target.type.labels
    unknown = [word for word in wanted if labels and word not in labels]
    if unknown:
        raise StructureMismatch(
            f"{place}: the target's type {target.type_sql} has no label {', '.join(unknown)}.",
            f"Map to one of {', '.join(labels)}.",
        )


def _word_of(value: Any) -> str | None:
    """The form that a value of the file is of; None lets the loader list which there are."""
    if isinstance(value, str):
        return Sql.word
    if isinstance(value, Form):
        return value.word
    return next((form.word for form in FORMS if isinstance(value, dict) and form.word in value), None)


if TYPE_CHECKING:
    Column = Form
else:
    forms = (Annotated[form, Tag(form.word)] for form in FORMS)
    Column = Annotated[functools.reduce(operator.or_, forms), Discriminator(_word_of)]
