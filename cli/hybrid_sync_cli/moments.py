"""Times on the command line: a day, or a time of it; UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import click

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


def utc(moment: datetime | None) -> str | None:
    """As a request says it."""
    return None if moment is None else moment.replace(tzinfo=UTC).isoformat()
