"""Fields that several endpoints take, in a body or a query."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StrictBool

from hybrid_sync.contracts import Message

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


class Page(Message):
    """`cursor` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,400}$")] = None
