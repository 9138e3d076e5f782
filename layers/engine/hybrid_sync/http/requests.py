"""What a caller may ask for over HTTP: identifiers only, the rows are read from legacy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StrictBool, model_validator

from hybrid_sync.contracts import MAX_REFS, Act, Message, OnFailure, Profile, Ref, RunPriority, RunRequest
from hybrid_sync.key_values import GivenPart
from hybrid_sync.services.messages.answers import LONGEST_AGE, USUAL_AGE

MAX_ENTITIES = 200
_WORD = "^[a-z][a-z0-9_]{0,62}$"
_STATUS = "^(waiting|running|ended|succeeded|degraded|failed|cancelled|lost|rolled_back)$"


_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _moment(value: object) -> object:
    """As RFC 3339 writes it; a number of seconds would pass for one, too."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("write a moment with its time zone, as 2026-11-29T01:00:00Z")
    return value


def _flag(value: object) -> object:
    """`true` or `false`, as JSON writes them."""
    return {"true": True, "false": False}.get(str(value), value)


def _in_utc(moment: datetime) -> datetime:
    """PostgreSQL takes no offset of sixteen hours; in UTC all that are meant are moments."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such year in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
Flag = Annotated[StrictBool, BeforeValidator(_flag)]
"""Of a query."""
EntityName = Annotated[str, Field(max_length=63, pattern="^[a-z_][a-z0-9_]*$")]


class SyncRequest(Message):
    """The body of POST /v1/syncs: entities, single rows, or both; a `profile` other than on_demand may leave both out.

    `since`/`until` narrow the entities to rows changed in that time; they need a time zone.  `include:
    dependencies` also carries over the rows that the named ones refer to.  `on_failure` says what happens to what a
    failed run has written.  `act`: `erase` the persons to whom the rows belong, or `merge`: legacy has merged the rows
    into others; nothing undoes either.  `dry_run` starts nothing, and says whether the run would have to wait.
    """

    entities: Annotated[tuple[EntityName, ...], Field(max_length=MAX_ENTITIES)] = ()
    refs: Annotated[tuple[Ref, ...], Field(max_length=MAX_REFS)] = ()
    act: Act = "sync"
    profile: Profile = Profile.on_demand
    priority: RunPriority = RunPriority.normal
    include: Annotated[str | None, Field(pattern="^dependencies$")] = None
    since: Moment | None = None
    until: Moment | None = None
    on_failure: OnFailure = OnFailure.keep
    correlation_id: Annotated[str | None, Field(pattern="^[A-Za-z0-9._:-]{1,128}$")] = None
    dry_run: StrictBool = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> SyncRequest:
        on_demand = self.profile is Profile.on_demand
        if on_demand and not self.entities and not self.refs:
            raise ValueError("name at least one entity in `entities`, or one row in `refs`")
        if self.act != "sync" and (not self.refs or self.entities or self.since or self.until):
            raise ValueError(f"to {self.act}, name rows in `refs` and nothing else")
        if not on_demand and (self.refs or self.since or self.until or self.include):
            raise ValueError("`refs`, `since`, `until` and `include` belong to an on_demand run")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("`since` must be earlier than `until`")
        return self

    def to_run(self) -> RunRequest:
        """The run that does it."""
        return RunRequest(
            profile=self.profile,
            trigger="api",
            priority=self.priority,
            entities=self.entities,
            refs=self.refs,
            act=self.act,
            include=self.include,
            since=_iso(self.since),
            until=_iso(self.until),
            on_failure=self.on_failure,
            correlation_id=self.correlation_id,
        )


class Page(Message):
    """`cursor` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,400}$")] = None


class SyncsQuery(Page):
    """Which runs; `retries`: the small ones of the failure queue, too."""

    status: Annotated[str | None, Field(pattern=_STATUS)] = None
    profile: Annotated[str | None, Field(pattern="^(weekly|daily|hourly|on_demand|verify|rollback)$")] = None
    entity: EntityName | None = None
    since: Moment | None = None
    until: Moment | None = None
    retries: Flag = False


class RollbackRequest(Message):
    """The body of POST …/rollback.  `preview` changes nothing; `rollback_id` goes on with one that has begun."""

    preview: StrictBool = False
    out_of_order: StrictBool = False
    rollback_id: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{0,120}$")] = ""


class FailuresQuery(Page):
    """Which failed records; `everything`: resolved ones, too."""

    run_id: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,80}$")] = None
    entity: EntityName | None = None
    reason: Annotated[str | None, Field(pattern=_WORD)] = None
    everything: Flag = False


GivenKey = Annotated[tuple[GivenPart, ...], Field(max_length=16)]


class RedriveRequest(Message):
    """The body of POST /v1/failures/redrive: failed records that are tried again, by all that is given, or `all`.

    `redrive_id` goes on with a redrive whose answer said `more`.
    """

    entity: EntityName | None = None
    source: EntityName | None = None
    keys: Annotated[tuple[Annotated[GivenKey, Field(min_length=1)], ...], Field(max_length=MAX_REFS)] = ()
    reason: Annotated[str | None, Field(pattern=_WORD)] = None
    all: StrictBool = False
    redrive_id: Annotated[str, Field(pattern="^(redrive-[0-9]{8}T[0-9]{6}-[0-9a-f]{6})?$")] = ""


class AcceptRequest(Message):
    """The body of POST /v1/failures/accept: records that may stay as they are, all or none, and why."""

    entity: EntityName
    source: EntityName | None = None
    keys: Annotated[tuple[GivenKey, ...], Field(min_length=1, max_length=MAX_REFS)]
    why: Annotated[str, Field(min_length=1, max_length=500)]


class RecordQuery(Message):
    """`source` of an entity that has several."""

    source: EntityName | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 500


class RouteQuery(Message):
    """How old the target's rows may be; by default what one weekly run after the other keeps."""

    max_age_seconds: Annotated[int, Field(ge=1, le=LONGEST_AGE)] = USUAL_AGE


class UsageQuery(Message):
    """How far back to look."""

    days: Annotated[int, Field(ge=1, le=400)] = 7


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
