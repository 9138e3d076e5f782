"""The certificate of an erasure, which anybody may read: names of entities and numbers, no key and no value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hybrid_sync.contracts import Message

Kind = Literal["erased", "merged"]


class Certificate(Message):
    """What was erased and by whom: names of entities and numbers, no key and no value."""

    number: int
    at: str
    by: str
    why: str
    deleted: dict[str, int] = Field(default_factory=dict)
    """Rows by entity."""
    pseudonymised: dict[str, int] = Field(default_factory=dict)
    suppressed: dict[str, int] = Field(default_factory=dict)
    """Keys that are never written again as they were, with those that had no row in the target."""
    request: str = ""
    """The run that an event, or a program, has asked for; empty where an admin did it by command."""
    kind: Kind = "erased"
    named: int = 0
    """Rows that the request named."""
    scrubbed: dict[str, int] = Field(default_factory=dict)
    """Lines taken out of our own records, by table: before-images, failed records and what else knew of the keys."""
