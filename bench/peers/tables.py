"""The twelve tables that everybody carries: columns, their types on both sides, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ROWS = 496_162
"""Of legacy at scale 1."""
CHANGES = 40_000
"""Of a day at scale 1: three updates for each new row."""
STATES = ("draft", "new", "active", "hold", "done", "closed", "void", "lost")
GENDERS = ("unknown", "female", "male")
ROLES = ("admin", "doctor", "tech", "sales", "support", "guest")


@dataclass(frozen=True)
class Column:
    """One of: a reference (`to` another table), a `choice` of words by number, an `expression` over {}, text that is
    checked to be JSON and becomes jsonb, or as it is."""

    name: str
    type: str
    to: str = ""
    choice: tuple[str, ...] = ()
    expression: str = ""
    json: bool = False

    @property
    def target_type(self) -> str:
        return "uuid" if self.to else "text" if self.choice else "jsonb" if self.json else self.type

    def in_sql(self, alias: str = "r") -> str:
        """What the target gets, of legacy's row; a reference as legacy's number."""
        column = f"{alias}.{self.name}"
        if self.choice:
            return f"(array[{', '.join(repr(word) for word in self.choice)}])[{column} + 1]"
        return self.expression.format(column) if self.expression else column


@dataclass(frozen=True)
class Table:
    """A legacy table with its key `id`, and the target's of the same name."""

    name: str
    columns: tuple[Column, ...]

    @property
    def references(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.to)

    @property
    def values(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.to)


def _columns(text: str) -> Iterator[Column]:
    """`name type` as it is, `name > table` a reference, `name # STATES` a choice, `name type = expression`."""
    for part in (*text.split(";"), "created_at timestamptz", "updated_at timestamptz"):
        declared, _, expression = part.strip().partition(" = ")
        name, kind, *more = declared.split()
        if kind == ">":
            yield Column(name, "int", to=more[0])
        elif kind == "#":
            yield Column(name, "smallint", choice={"states": STATES, "genders": GENDERS, "roles": ROLES}[more[0]])
        else:
            yield Column(name, kind, expression=expression)


_DECLARED = {
    "users": "email text = lower({}); first_name text; last_name text; role # roles; is_active bool",
    "offices": "user_id > users; name text; address text; phone text",
    "patients": "office_id > offices; first_name text; last_name text; dob date; gender # genders",
    "cases": "number text; patient_id > patients; office_id > offices; creator_id > users; status # states; notes text;"
    " due date",
    "case_messages": "case_id > cases; author_id > users; body text = nullif(btrim({}), ''); is_internal bool",
    "case_states": "case_id > cases; changed_by_id > users; state # states",
    "case_files": "case_id > cases; uploader_id > users; name text; path text; size bigint; mime text",
    "message_attachments": "message_id > case_messages; file_id > case_files; name text",
    "purchases": "case_id > cases; user_id > users; amount numeric(12,2); tax numeric(12,2); currency text;"
    " status # states",
    "operations": "case_id > cases; user_id > users; kind text; price numeric(12,2); detail text",
    "role_permissions": "role text; permission text",
    "system_messages": "user_id > users; template text; template_context jsonb; is_read bool",
}

TABLES = tuple(Table(name, tuple(_columns(text))) for name, text in _DECLARED.items())
"""Each after the tables that it refers to."""
NUMBER = {table.name: n for n, table in enumerate(TABLES, 1)}
