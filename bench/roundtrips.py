"""How often the engine waits for a database, and how often it reads each row, over six small tables."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_sync.contracts import Profile
from tests.engine import roundtrips
from tests.engine.six_tables import counted

NewDatabase = Callable[[str, str], str]
"""(name, encoding) -> DSN of a new empty database, as its superuser."""


def count(new_database: NewDatabase) -> None:
    """Print a `ROUNDTRIPS …` line, and what 20 ms a wait cost."""
    with counted(new_database("legacy_trips", "UTF8"), new_database("target_trips", "UTF8")) as six:
        daily, weekly = roundtrips.idle(six, Profile.daily), roundtrips.idle(six, Profile.weekly)
        one = roundtrips.one_row(six)
        print(roundtrips.line(roundtrips.batches(six), weekly, daily, one))
        print(roundtrips.slowed(six))
