"""The id map's cache and its copies: an entity is walked, so many rows a call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Key, Message
from hybrid_sync.services.messages import Asked

BackupName = Annotated[str, Field(pattern="^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$")]
"""The time of its making and something random, as in 20261129T010000-4fc1d2."""


class Position(Message):
    """How far an entity has been walked: behind this key of this source, `number` calls into it."""

    source: str
    after: Key | None = None
    number: int = 0


class Walk(Asked):
    """A call for so many rows of an entity; `at`: where the call before ended."""

    entity: str
    at: Position | None = None

    @property
    def goes_on(self) -> bool:
        return self.at is not None


class CheckAsked(Walk):
    """Compare the cached ids of an entity with the target's rows."""


class RebuildAsked(Walk):
    """Forget all that is cached of an entity, and fill the cache from the target."""


class BackupAsked(Asked):
    """Copy an entity's part; without one, the copy is complete."""

    backup: BackupName
    entity: str | None = None
    at: Position | None = None

    @property
    def goes_on(self) -> bool:
        return self.at is not None


class RestoreAsked(Walk):
    """Let the rows that the target has lost come back with the ids that the copy has."""

    backup: BackupName


class BackupsAsked(Asked):
    """Which copies there are."""


class _Walked(Message):
    rows: int
    next: Position | None = None

    @property
    def more(self) -> bool:
        """Further calls follow; the audit trail has the last."""
        return self.next is not None


class Checked(_Walked):
    """`cached` of `rows` are in the cache; `wrong` of these, and some of them named; `unsealed`: pages not ours."""

    cached: int
    wrong: int
    named: tuple[tuple[str, Key], ...]
    unsealed: int


class Rebuilt(_Walked):
    """Rows whose ids are in the cache now; `left` pages were not taken by DynamoDB, and will be when they are used."""

    left: int


class Kept(_Walked):
    """Rows copied."""


class Restored(_Walked):
    """Of `rows` in the copy, `there` are in the target as they were, and `kept` come back with their ids.

    `other`: the row is there with another id, or its id is another row's now; the target stays as it is.
    """

    there: int
    kept: int
    other: int


class Backups(Message):
    """The newest first."""

    backups: tuple[str, ...]
