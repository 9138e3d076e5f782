"""What a run that is at work waits for, in words: a database that is away, its turn while the load is throttled, who
holds a lock, and which attempt it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, LiteralString

from hybrid_sync.dataclass import dataclass
from hybrid_sync.retries import CONTENDED_PAGE
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.runs import Holder
from hybrid_sync.session import Question, dicts

_NO_RUN = "hybrid-sync"
"""What a session of ours is called that does not say for which run it works: it may be any of them."""


@dataclass(frozen=True)
class Waits:
    """Of all runs: `away` says which database lets nobody in, `load` why they get on slowly; `throttled` why single
    ones do, by run id."""

    away: str = ""
    load: tuple[str, ...] = ()
    throttled: Mapping[str, str] = field(default_factory=dict)

    def of(self, run_id: str, locks: Sequence[dict[str, Any]], attempts: int) -> tuple[str, ...]:
        """Of one run that is at work, of the `locks` that were found in the target."""
        held = [holder.in_words for holder in holders(locks, run_id)]
        return (*self.of_its_start(run_id), *held, *filter(None, [attempt(attempts)]))

    def of_its_start(self, run_id: str) -> tuple[str, ...]:
        """Of one that the target has no record of yet."""
        return (*filter(None, [self.away]), *self.slowed(run_id))

    def slowed(self, run_id: str) -> tuple[str, ...]:
        """What throttles the run, as sentences."""
        return tuple(_throttled(why) for why in (*self.load, self.throttled.get(run_id, "")) if why)


def waits(desk: Desk, *, at_work: bool = True) -> Waits:
    """As it is now; what does not answer is waited for by nobody.  While nothing is `at_work` no call is refused."""
    load = (desk.load.said(), desk.outlook.refused_calls(desk.now()) if at_work else "")
    return Waits(desk.breakers.waiting_for().rstrip("."), load, desk.throttling.said())


def _throttled(why: str) -> str:
    return f"its turn, throttled: {why.rstrip('.')}"


def ask_locks() -> Question[list[dict[str, Any]]]:
    """Our sessions that wait for a lock, and who holds it."""
    return dicts(_LOCKS, None)


def ask_attempts(run_id: str) -> Question[list[dict[str, Any]]]:
    """How often the run has tried its most contended page: one row, `attempts`."""
    return dicts(_ATTEMPTS, {"run": run_id})


def holders(locks: Sequence[dict[str, Any]], run_id: str) -> tuple[Holder, ...]:
    """The sessions that the run waits for, of the `locks` that were found."""
    return tuple(
        Holder(**{name: lock[name] for name in Holder.model_fields})
        for lock in locks
        if (run_id in lock["waiting"] or lock["waiting"] == _NO_RUN) and run_id not in lock["application"]
    )


def attempt(number: int) -> str:
    """In words, from the second on; empty before."""
    return f"attempt {number} of {CONTENDED_PAGE.attempts} of a page that others had locked" if number > 1 else ""


# Sessions of one role see each other's; of others the name, the application and the process id are visible to all.
_LOCKS: LiteralString = """
select a.application_name as waiting, h.pid, coalesce(h.usename, '') as "user", h.application_name as application,
       extract(epoch from clock_timestamp() - a.query_start)::float8 as seconds
from pg_stat_activity a
cross join lateral unnest(pg_blocking_pids(a.pid)) as blocking(pid)
join pg_stat_activity h on h.pid = blocking.pid
where a.datname = current_database() and a.usename = current_user and a.wait_event_type = 'Lock'
order by a.query_start, h.pid
"""
_ATTEMPTS: LiteralString = """
select coalesce(max(attempts), 1) as attempts from hybrid_sync.batch_attempt where run_id = %(run)s
"""
