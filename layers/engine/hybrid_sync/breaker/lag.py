"""Whether a replica of the target falls behind what we write, asked now and then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import LiteralString

from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import Connection, Question, answer

EVERY = timedelta(seconds=15)
LONGEST_SECONDS = 30
"""How far one may be behind: whoever reads from it reads what was true so long ago."""
# Without pg_read_all_stats the lag of others' sessions reads NULL: then nothing is known, and nothing shed.
_LAG: LiteralString = """
select application_name, extract(epoch from replay_lag)::int from pg_stat_replication
where replay_lag > make_interval(secs => %(most)s) order by replay_lag desc limit 1
"""


class ReplicaLag:
    """`connect` gives a connection to the target, as a rule one that the worker keeps."""

    def __init__(self, connect: Callable[[], Connection], now: Callable[[], datetime]) -> None:
        self._connect = connect
        self._now = now
        self._asked: datetime | None = None

    def __call__(self) -> str:
        """Which replica is too far behind; empty where none is, where it was asked a moment ago, or nobody knows."""
        now = self._now()
        if self._asked is not None and now - self._asked < EVERY:
            return ""
        self._asked = now
        try:
            with self._connect() as target:
                found = answer(target, Question(_LAG, {"most": LONGEST_SECONDS}, lambda rows: rows.fetchall()))
        except SyncError:
            return ""
        return "".join(f"The target's replica {name or 'without a name'} is {s} s behind." for name, s in found)
