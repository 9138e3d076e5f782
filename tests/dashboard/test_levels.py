"""Report and page tell met and missed goals as SQL of this file's own computes them, in a world of known misses."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from hybrid_sync.contracts import ReportRequest
from hybrid_sync.recorded.levels import Levels
from hybrid_sync.report.model import RunSummary
from hybrid_sync.services.answered import Answers
from hybrid_sync.services.levels import note_today
from hybrid_sync.services.roles import Role
from hybrid_sync.services.views.schedule import Schedule
from hybrid_sync.steps.report_run import report_run
from tests.dashboard.conftest import AsRole
from tests.engine.worlds import EngineWorld
from tests.report.records import CATALOG, EQUATION, add_entity, money_line
from tests.views.conftest import NOW, Looked

Store = psycopg.Connection[Any]
LAST = "weekly-20260104T010000-000000"
ENDED = datetime(2026, 1, 4, 2, tzinfo=UTC)
# name of the run, how and when it ended, and who has undone it
RUNS = (
    ("weekly-20251214T010000-000000", "succeeded", "2025-12-14 01:00", "2025-12-14 02:00", None),
    ("weekly-20251221T010000-000000", "failed", "2025-12-21 01:00", "2025-12-21 01:10", None),
    ("weekly-20251221T010000-000001", "succeeded", "2025-12-21 01:25", "2025-12-21 02:25", None),
    ("weekly-20251228T010000-000000", "succeeded", "2025-12-28 01:00", "2025-12-28 06:30", None),  # late
    ("weekly-20260103T120000-4fc1d2", "succeeded", "2026-01-03 12:00", "2026-01-03 12:30", None),  # by hand
    (LAST, "degraded", "2026-01-04 01:00", "2026-01-04 02:00", None),
    ("daily-20260106T020000-000000", "failed", "2026-01-06 02:00", "2026-01-06 02:05", None),
    ("rollback-1", "succeeded", "2026-01-07 03:00", "2026-01-07 03:01", None),
    ("daily-20260107T020000-000000", "succeeded", "2026-01-07 02:00", "2026-01-07 02:20", "rollback-1"),
    ("daily-20260107T113000-000000", "running", "2026-01-07 11:30", None, None),  # still in its window
)
# priority, status, accepted, begun, ended
REQUESTS = (
    ("critical", "succeeded", "2026-01-05 10:00", "2026-01-05 10:05", "2026-01-05 10:10"),
    ("critical", "succeeded", "2026-01-05 10:00", "2026-01-05 11:09", "2026-01-05 11:10"),  # it waited too long
    ("critical", "failed", "2026-01-05 12:00", "2026-01-05 12:00", "2026-01-05 12:01"),
    ("critical", "running", "2026-01-07 10:00", "2026-01-07 10:00", None),
    ("critical", "running", "2026-01-07 11:55", "2026-01-07 11:56", None),  # it may still be in time
    ("normal", "succeeded", "2026-01-05 08:00", "2026-01-05 10:09", "2026-01-05 10:10"),
)


def add(store: Store, name: str, profile: str, status: str, begun: str, ended: str | None, **more: Any) -> None:
    given = {"priority": "normal", "undone_by": None, "accepted": None, **more}
    store.execute(
        "insert into hybrid_sync.run (run_id, profile, trigger, priority, request, status, fence, catalog_hash,"
        " deadline_at, started_at, finished_at, undone_by) values (%s, %s, 'hand', %s, %s, %s, '{}', 'hash', now(),"
        " %s::timestamp at time zone 'UTC', %s::timestamp at time zone 'UTC', %s)",
        (
            name, profile, given["priority"],
            Jsonb({"accepted_at": f"{given['accepted']}Z"} if given["accepted"] else {}),
            status, begun, ended, given["undone_by"],
        ),
    )  # fmt: skip


@pytest.fixture
def missing(store: Store) -> Store:
    """A late run, a failed one, one that never began, one undone; money that is missing, and answers of 5xx."""
    for name, status, begun, ended, undone_by in RUNS:
        add(store, name, name.partition("-")[0], status, begun, ended, undone_by=undone_by)
    store.execute("insert into hybrid_sync.due_run values ('daily', '2026-01-05 02:00Z'), ('daily', '2025-11-01Z')")
    for number, (priority, status, accepted, begun, ended) in enumerate(REQUESTS):
        add(store, f"asked-{number}", "on_demand", status, begun, ended, priority=priority, accepted=accepted)
    add_entity(
        store, LAST, "payments", conservation=EQUATION,
        money=[money_line("total", "USD", "100.00", target="90.00"), money_line("fee", "USD", "7.00")],
    )  # fmt: skip
    add_entity(
        store, LAST, "offices", conservation={**EQUATION, "legacy": 2_000, "current": 1_990, "absent": 0, "stale": 0}
    )
    store.execute(
        "insert into hybrid_sync.fence (entity, fence) values ('payments', %s), ('offices', %s)",
        [Jsonb({"taken_at": f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"}) for days in (5, 2)],
    )
    store.execute(
        "insert into hybrid_sync.api_day values ('2026-01-05', 10000, 0, '2026-01-07 03:00Z'),"
        " ('2026-01-03', 5000, 20, '2026-01-07 03:00Z'), ('2025-11-30', 7, 7, '2026-01-07 03:00Z')"
    )
    for written in (3, 0, 5):
        store.execute(
            "insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, result)"
            " values (gen_random_uuid(), %s, 'payments', 'payment', 0, 500, %s)",
            (LAST, Jsonb({"inserted": written, "updated": 0})),
        )
    return store


# --- the same once more, by SQL alone ---------------------------------------------------------------------------------
OURS = """
with given as (select %(at)s::timestamptz as at, %(at)s::timestamptz - interval '30 days' as since),
named as (
  select r.*, substring(run_id from '^[a-z]+') as kind,
         to_timestamp(substring(run_id from '-([0-9]{8}T[0-9]{6})-'), 'YYYYMMDD"T"HH24MISS') as due
  from hybrid_sync.run r, given where run_id ~ '^(weekly|daily|hourly)-[0-9T]+-00000[0-9]$' and started_at <= at),
due as (
  select kind, due from named, given where due between since and at
  union select profile, due from hybrid_sync.due_run, given where due between since and at),
windows as (
  select due.*, due.due + case kind when 'weekly' then interval '4 h' else interval '1 h' end as ends from due),
schedules as (
  select w.*, exists (select from named n where (n.kind, n.due) = (w.kind, w.due) and n.status = 'succeeded'
                      and n.undone_by is null and n.finished_at <= w.ends) as well
  from windows w),
asked as (
  select coalesce(finished_at, at) - (request->>'accepted_at')::timestamptz as took, status, finished_at
  from hybrid_sync.run, given
  where profile = 'on_demand' and priority = 'critical' and started_at between since and at),
last as (
  select e.* from hybrid_sync.run_entity e where run_id = (
    select run_id from hybrid_sync.run, given where profile = 'weekly' and finished_at <= at and undone_by is null
    order by started_at desc limit 1)),
sums as (
  select entity, line->>'column' as name, line->>'currency' as currency, bool_and((line->>'agrees')::boolean) as agrees
  from last, jsonb_array_elements(money) line group by 1, 2, 3)
select 'run_availability' as name, count(*) filter (where well), count(*), null from schedules, given
where well or ends <= at
union all select 'critical_events', count(*) filter (where status = 'succeeded' and took < interval '1 h'), count(*),
  extract(epoch from max(took))::float8 from asked where finished_at is not null or took >= interval '1 h'
union all select 'rows_current', sum((conservation->>'current')::int),
  sum((conservation->>'legacy')::int - (conservation->>'excluded')::int), null from last
union all select 'money', count(*) filter (where agrees), count(*), null from sums
union all select 'validation', count(*) filter (where status = 'verified'), 2, null from last
union all select 'api_availability', sum(answers - failed), sum(answers), null from hybrid_sync.api_day, given
  where day between since::date and at::date
union all select 'weekly_window', count(*) filter (where finished_at - started_at <= interval '4 h'), count(*),
  extract(epoch from max(finished_at - started_at))::float8 from hybrid_sync.run, given
  where profile = 'weekly' and status in ('succeeded', 'degraded') and started_at between since and at
union all select 'audit_trail', count(*) filter (where exists (select from hybrid_sync.journal j
  where j.batch_id = b.batch_id)), count(*), null from hybrid_sync.batch_done b where (result->>'inserted')::int > 0
union all select 'staleness', null, null,
  avg(extract(epoch from at - (fence->>'taken_at')::timestamptz))::float8 / 86400
  from hybrid_sync.fence, given
"""
GOALS: Mapping[str, Any] = {
    "run_availability": lambda part, whole, _: part / whole >= 0.999,
    "critical_events": lambda part, whole, _: part == whole,
    "rows_current": lambda part, whole, _: part / whole > 0.99,
    "money": lambda part, whole, _: part == whole,
    "validation": lambda part, whole, _: part == whole,
    "api_availability": lambda part, whole, _: part / whole >= 0.999,
    "weekly_window": lambda part, whole, _: part == whole,
    "audit_trail": lambda part, whole, _: part == whole,
    "staleness": lambda _, __, days: days < 4,
}


def computed(store: Store, at: datetime) -> dict[str, tuple[str, float | None, float | None, float | None]]:
    store.execute("set time zone 'UTC'")
    found = store.execute(OURS.encode(), {"at": at}).fetchall()
    numbers = {name: tuple(None if n is None else float(n) for n in rest) for name, *rest in found}
    return {
        name: ("not measured", None, None, None) if three[1] == 0
        else ("met" if GOALS[name](*three) else "missed", *three)
        for name, three in numbers.items()
    }  # fmt: skip


def told(levels: Levels) -> dict[str, tuple[str, float | None, float | None, float | None]]:
    return {one.name: (str(one.outcome), one.part, one.whole, one.value) for one in levels.levels if one.name in GOALS}


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    assert ours.keys() == theirs.keys() == GOALS.keys()
    for name, (outcome, *numbers) in ours.items():
        assert theirs[name][0] == outcome, name
        assert theirs[name][1:] == tuple(pytest.approx(n) if n is not None else None for n in numbers), name


# ----------------------------------------------------------------------------------------------------------------------
def test_the_page_says_of_each_goal_what_sql_of_our_own_says(missing: Store, as_role: AsRole) -> None:
    ours = computed(missing, NOW)
    body = as_role(Role.viewer).get("/dashboard/levels", Accept="application/json").body
    same(ours, told(Levels.model_validate_json(body)))
    page = as_role(Role.viewer).get("/dashboard/levels").body
    for name, (outcome, part, whole, _) in ours.items():
        [row] = re.findall(rf'<tr role="row" id="{name}">.*?</tr>', page)
        assert f"</svg>{outcome}</span>" in row, name
        if part is not None and name != "integrity":
            assert f"{part:,.0f} of {whole:,.0f} " in html.unescape(row), name
    # 2025-12-14, and at its second attempt 2025-12-21; of 2025-12-28 late, of 2026-01-04 degraded, of the three daily
    # ones none: never begun, failed, undone.
    assert ours["run_availability"][1:3] == (2, 7)
    assert ours["critical_events"][1:3] == (1, 4)


def test_the_report_says_it_as_of_the_end_of_its_run_in_all_its_forms(missing: Store, recorded: str) -> None:
    world = EngineWorld(CATALOG, "", recorded)
    ours = computed(missing, ENDED)
    report_run(world, ReportRequest(run_id=LAST))
    document = RunSummary.model_validate(world.reports.documents[LAST])
    assert document.levels is not None
    same(ours, told(document.levels))
    for one in document.levels.levels:
        for form in ("html", "md"):
            text = html.unescape(world.reports.pages[LAST, form]).replace("\\", "")
            assert one.measured in text, (form, one.name)
    assert document.levels.in_words in html.unescape(world.reports.pages[LAST, "html"])


@pytest.mark.usefixtures("store")
def test_what_nobody_has_measured_is_not_met(as_role: AsRole) -> None:
    found = Levels.model_validate_json(as_role(Role.viewer).get("/dashboard/levels", Accept="application/json").body)
    assert {one.name for one in found.levels if one.outcome != "not measured"} == {"cost"}
    assert {entity.outcome for entity in found.entities} == {"not measured"}


def test_each_entity_and_each_critical_request_is_judged(missing: Store, as_role: AsRole) -> None:
    found = Levels.model_validate_json(as_role(Role.viewer).get("/dashboard/levels", Accept="application/json").body)
    assert [(e.entity, str(e.outcome)) for e in found.entities] == [("payments", "missed"), ("offices", "met")]
    assert {e.run_id: str(e.outcome) for e in found.events} == {
        "asked-0": "met", "asked-1": "missed", "asked-2": "missed", "asked-3": "missed",
    }  # fmt: skip


class Gateway:
    """What API Gateway has counted."""

    def days(self, since: date, until: datetime) -> Mapping[date, Answers]:
        assert (until.date() - since).days == 30
        return {date(2026, 1, 6): Answers(100, 1)}


def test_clocks_and_answers_are_noted_once_however_often_one_looks(store: Store, looked: Looked) -> None:
    at = [NOW]
    clock = Schedule("Daily sync", "cron(0 2 * * ? *)", "Europe/Berlin", "daily")
    desk: Any = SimpleNamespace(
        now=lambda: at[0], connect_target=looked.connect_target,
        outlook=SimpleNamespace(schedules=(clock,), gateway=Gateway()),
    )  # fmt: skip
    note_today(desk)
    assert due(store) == []  # nobody knows since when it goes
    at[0] += timedelta(days=2)
    note_today(desk)
    note_today(desk)
    assert due(store) == [datetime(2026, 1, 8, 1, tzinfo=UTC), datetime(2026, 1, 9, 1, tzinfo=UTC)]
    assert store.execute("select day, answers, failed from hybrid_sync.api_day").fetchall() == [
        (date(2026, 1, 6), 100, 1)
    ]
    desk.outlook.schedules = (Schedule("Daily sync", "cron(0 3 * * ? *)", "UTC", "daily"),)
    at[0] += timedelta(days=1)
    note_today(desk)
    assert len(due(store)) == 2  # by which clock it went in between, nobody knows either
    desk.outlook.schedules = ()
    note_today(desk)
    assert store.execute("select count(*) from hybrid_sync.clock").fetchall() == [(0,)]


def due(store: Store) -> list[datetime]:
    return [at for (at,) in store.execute("select due from hybrid_sync.due_run order by due").fetchall()]


def test_the_levels_are_json_for_programs(missing: Store, as_role: AsRole) -> None:
    body = json.loads(as_role(Role.viewer).get("/dashboard/levels", Accept="application/json").body)
    assert set(body) == {"at", "since", "levels", "entities", "events"}
