"""Service levels, asked for; and what is noted once a day so that they can be counted."""

from __future__ import annotations

from datetime import datetime, timedelta

from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.postgres import Connection, together, transaction
from hybrid_sync.recorded.levels import PERIOD_DAYS, Levels
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.measures import LevelsAsked
from hybrid_sync.services.views.schedule import Schedule, next_time
from hybrid_sync.session import Trip, dicts


def levels(desk: Desk, _: LevelsAsked, __: str) -> Levels:
    """Every service level as the target has it now."""
    with at_target(desk) as target:
        return measured(desk, target)[0]


def measured(desk: Desk, target: Connection) -> tuple[Levels, tuple[float, float]]:
    """The levels, and the month's dollars so far and at its end."""
    from hybrid_sync.report.levels import measure_levels  # what no other question needs, as pricing
    from hybrid_sync.services.priced import month_of

    now = desk.now()
    month = month_of(target, now)
    dollars = month.dollars, month.forecast or month.dollars
    return measure_levels(target, desk.catalog, now, dollars), dollars


def note_today(desk: Desk) -> str:
    """Note when clocks were to start runs since the last look, and how the API has answered; safe to repeat.

    A clock whose expression has changed since is taken up anew: nobody knows by which one it went in between.  Where
    CloudWatch does not answer (a VPC may have no way to it), nothing is counted of the API, and the answer says so.
    """
    now = desk.now()
    with desk.connect_target() as target, transaction(target, "target"):
        _note_due(target, desk.outlook.schedules, now)
    try:
        days = desk.outlook.gateway.days((now - timedelta(days=PERIOD_DAYS)).date(), now)
    except AwsUnavailable as error:
        return str(error)
    with desk.connect_target() as target, transaction(target, "target"), together(target) as trip:
        for day, (answers, failed) in days.items():
            trip.do(_ANSWERED, {"day": day, "answers": answers, "failed": failed, "now": now})
    return ""


def _note_due(target: Connection, schedules: tuple[Schedule, ...], now: datetime) -> None:
    with together(target) as trip:
        known = trip.ask(dicts("select profile, expression, zone, looked_at from hybrid_sync.clock for update", None))
    looked = {(row["profile"], row["expression"], row["zone"]): row["looked_at"] for row in known.value}
    with together(target) as trip:
        trip.do("delete from hybrid_sync.clock where profile <> all(%s)", ([one.profile for one in schedules],))
        for one in schedules:
            if last := looked.get((one.profile, one.expression, one.zone)):
                _note_clock(trip, one, max(last, now - timedelta(days=PERIOD_DAYS)), now)
            trip.do(_LOOKED, {"profile": one.profile, "expression": one.expression, "zone": one.zone, "now": now})


def _note_clock(trip: Trip, clock: Schedule, since: datetime, until: datetime) -> None:
    due = next_time(clock, since)
    while due is not None and due <= until:
        trip.do(
            "insert into hybrid_sync.due_run (profile, due) values (%s, %s) on conflict do nothing",
            (clock.profile, due),
        )
        due = next_time(clock, due)


_LOOKED = """
insert into hybrid_sync.clock (profile, expression, zone, looked_at)
values (%(profile)s, %(expression)s, %(zone)s, %(now)s)
on conflict (profile) do update
set expression = excluded.expression, zone = excluded.zone, looked_at = greatest(clock.looked_at, excluded.looked_at)
"""
_ANSWERED = """
insert into hybrid_sync.api_day (day, answers, failed, counted_at) values (%(day)s, %(answers)s, %(failed)s, %(now)s)
on conflict (day) do update
set answers = greatest(api_day.answers, excluded.answers), failed = greatest(api_day.failed, excluded.failed),
    counted_at = excluded.counted_at
"""
