"""What every part of a report is: frozen, and the same after a journey through JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Amount = Annotated[Decimal, Field(allow_inf_nan=True)]
"""Exact; travels as a decimal string.  NaN and infinity are kept, because a report has to show them."""


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
