"""What every part of a record or a report is: the same after a journey through JSON."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, localcontext
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

Amount = Annotated[
    Decimal, Field(allow_inf_nan=True), PlainSerializer(lambda v: format(v, "f"), return_type=str, when_used="json")
]
"""Exact; travels as a decimal string without an exponent.  NaN and infinity are kept, because a report shows them."""


class Part(BaseModel):
    """Computed fields are written for those who read the JSON, and computed again when it is read back."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_computed(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: held for name, held in value.items() if name not in cls.model_computed_fields}


class Recorded(Part):
    """A part that a step of the run recorded; fields that this release does not know are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def as_json(self) -> dict[str, Any]:
        """As the run's record keeps it."""
        return self.model_dump(mode="json")

    @classmethod
    def some(cls, **found: Any) -> dict[str, Any]:
        """A part of what the record keeps, to be added to it; each name has to be one of the model's."""
        assert found.keys() <= cls.model_fields.keys(), found.keys() - cls.model_fields.keys()
        return cls(**found).model_dump(mode="json", include=set(found))


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, 0 of nothing; NaN is contagious, as in SQL.

    The default context would round to 28 digits, which sums of numeric can exceed; here an inexact sum raises
    `decimal.Inexact`.
    """
    with localcontext(Context(prec=200_000, traps=[Inexact])):
        return sum(amounts, Decimal(0))
