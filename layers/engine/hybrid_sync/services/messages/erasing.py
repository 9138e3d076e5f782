"""People erased at their word: what that would do, and the certificates of what was done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.erase.certificate import Certificate
from hybrid_sync.key_values import GivenPart
from hybrid_sync.services.messages import Asked


class Named(Message):
    """One row of a person."""

    entity: str
    key: Annotated[tuple[GivenPart, ...], Field(min_length=1)]
    source: str = ""


class EraseAsked(Asked):
    """Erase the persons to whom these rows belong, and why."""

    rows: Annotated[tuple[Named, ...], Field(min_length=1, max_length=100)]
    why: Annotated[str, Field(max_length=500)] = ""


class ErasuresAsked(Asked):
    """All that was erased."""


class Preview(Message):
    """How many rows of either side belong to the persons, by entity and by what will be done with them."""

    delete: dict[str, int]
    pseudonymise: dict[str, int]
    keep: dict[str, int]


class Certificates(Message):
    """The newest first."""

    certificates: tuple[Certificate, ...]
