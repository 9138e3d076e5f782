"""What becomes of a person's rows when the person is erased, as an entity's file says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hybrid_sync.catalog.grammar import Identifier, Strict, Whole, Word

KEY = "{key}"
"""In a pseudonym: the row's legacy key, where a constant would not be unique."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Columns = Annotated[tuple[Identifier, ...], BeforeValidator(_listed)]


class Erasure(Strict):
    """`delete` the rows, `pseudonymise` them (set columns, go on syncing the others), or `keep` them as they are.

    A row is about a person who is erased when a reference in `of` or `same` leads to a row of that person.
    """

    policy: Literal["delete", "pseudonymise", "keep"]
    set: dict[Identifier, Word | None] = Field(default_factory=dict)
    """For `pseudonymise`: target column -> NULL or a text, in which {key} stands for the legacy key."""
    of: Columns = ()
    """References to the person's rows: a message of a patient's case."""
    same: Columns = ()
    """References to another row of the same person, which is erased together with this one, whichever is named."""
    events_a_day: Annotated[Whole, Field(ge=0, le=10_000)] = 0
    """How many such rows events and programs may have erased, or merged, within a day; without it only an admin may."""

    @model_validator(mode="after")
    def _sets(self) -> Erasure:
        if (self.policy == "pseudonymise") != bool(self.set):
            raise ValueError(
                "`policy: pseudonymise` needs `set` with the columns to change, such as `set: {email: null}`; the other"
                " policies must not have it"
            )
        return self

    @property
    def leads(self) -> tuple[str, ...]:
        """References by which a row belongs to somebody."""
        return (*self.of, *self.same)
