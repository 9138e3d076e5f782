"""Watch freshness: how many days ago a weekly run has verified everything; an alarm sees by it what does not happen."""

from __future__ import annotations

from psycopg import sql
from pydantic import ConfigDict

from hybrid_sync.contracts import Message
from hybrid_sync.postgres import one_trip
from hybrid_sync.runs.ended import VERIFIED_WEEKLY
from hybrid_sync.schema.ready import require_installed
from hybrid_sync.session import Question
from hybrid_sync.world import World


class Tick(Message):
    """What a clock sends: nothing that matters."""

    model_config = ConfigDict(extra="ignore")


class Freshness(Message):
    """How long ago a weekly run has verified everything."""

    days: float


_AGE = sql.SQL("""
select extract(epoch from clock_timestamp() - coalesce(
  {},
  (select min(applied_at) from hybrid_sync.migration)))::float8 / 86400
""").format(VERIFIED_WEEKLY)


def watch_freshness(world: World) -> Freshness:
    """Days since the end of the last weekly run of everything that succeeded or degraded, which are verified both.

    Before the first such run, since the schema was installed.
    """
    with world.connect_target() as target:
        require_installed(target)
        with one_trip(target, "target", read_only=True) as trip:
            age = trip.ask(Question(_AGE, None, lambda found: float(found.fetchall()[0][0])))
    return Freshness(days=round(age.value, 3))
