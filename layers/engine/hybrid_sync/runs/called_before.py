"""What the rows of an entity and source were called, and when: journal and reports keep the names of their time.

A name may have meant other rows before, or since, so it counts only for runs that began while it meant these.
"""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import Place
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.called import Known, now_called, present


@dataclass(frozen=True)
class Name:
    """A name that meant the rows in runs that began in this time; None where it has no such bound."""

    entity: str
    source: str
    since: datetime | None = None
    until: datetime | None = None


_MEANINGS: LiteralString = """
select entity, source, reads, target, lag(until) over (partition by entity, source order by until), until
from (select entity, source, reads, target, until from hybrid_sync.place_before
      union all select entity, source, reads, target, null from hybrid_sync.place) as meaning
"""


def names_of(connection: Connection, catalog: Catalog, place: Place) -> list[Name]:
    """All names that the rows of the place have had, as far as runs have recorded them."""
    now = present(catalog)
    found = [
        Name(entity, source, since, until)
        for entity, source, reads, target, since, until in connection.execute(_MEANINGS).fetchall()
        if now_called((entity, source), Known(reads, target), now) == place
    ]
    return found or [Name(*place)]
