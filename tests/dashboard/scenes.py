"""Deployments as an operator may find them: new, sound, on a bad night, and larger than anybody has planned for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import new_job
from hybrid_sync.breaker.state import Breaker, Refusal, refusal
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import BatchResult, Profile, RunPriority, RunRequest
from tests.report.records import (
    CATALOG,
    EQUATION,
    add_batch,
    add_entity,
    add_failed,
    add_run,
    keep_report,
    money_line,
    move_run,
)
from tests.views.conftest import Looked

Store = psycopg.Connection[Any]
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The server's clock is the machine's, so ours is, too."""
FIRST = "weekly-20250000T010000-000000"
SUNDAY = datetime(2026, 1, 4, 1, tzinfo=UTC)
"""When hand-written runs begin."""
WEEKLY = f"weekly-{NOW:%Y%m%d}T010000-000000"
AT_WORK = f"daily-{NOW:%Y%m%d}T113000-000000"


class Now(Looked):
    """A deployment that is looked at now."""

    def now(self) -> datetime:
        return NOW


LONG = "messages_of_patients_and_practitioners_about_aligner_orders"
"""As long as PostgreSQL lets a table's name be, nearly."""
MANY, CAUSES = 200, 60
SOMEBODY = "user:6b0f7c1e-2f64-4a55-9d2c-0a3c8f1f7e11"
REQUEST = "on_demand-20260107T091500-3f2a1c"
_AUDITED = """
insert into hybrid_sync.audit (at, request_id, who, source_ip, command, what, outcome, code)
select %(now)s::timestamptz - n * interval '7 minutes', 'r-' || n, %(who)s, '2001:db8:85a3:8d3:1319:8a2e:370:7348',
       (array['hold', 'rollback', 'sync'])[n %% 3 + 1],
       '{"of": "offices", "why": "Being repaired by the team in Pune."}',
       (array['done', 'refused', 'failed'])[n %% 3 + 1],
       (array[null, 'forbidden', 'target_unavailable'])[n %% 3 + 1]
from generate_series(1, 12) n
"""
_MEASURED = """
insert into hybrid_sync.run_usage
select r.run_id, 'payments', 's-sync-batch', 512, 40, 90000, 40, 0, 0, '{}', %(times)s
from hybrid_sync.run r where r.run_id = %(run)s
"""
_TIMES = {
    "read": [40, 9_500_000, 40, 600_000], "read legacy": [40, 9_000_000, 40, 600_000],
    "update": [40, 21_000_000, 80, 2_000_000], "update target": [40, 20_000_000, 80, 2_000_000],
    "lock": [40, 45_000_000, 40, 1_000_000], "lock target": [40, 45_000_000, 40, 11_000_000],
}  # fmt: skip


def new(store: Store, looked: Looked) -> None:
    """Nothing has run."""


def sound(store: Store, looked: Looked) -> None:
    """Twelve good weeks, the last one yesterday."""
    for week in range(12):
        run = f"weekly-2025{week:04}T010000-000000"
        add_run(store, run)
        equation = {**EQUATION, "current": 90, "stale": 0, "absent": 0}
        add_entity(
            store, run, "payments", conservation=equation,
            money=[money_line("total", "USD", "1204553.10"), money_line("total", "JPY", "98000")],
        )  # fmt: skip
        add_entity(store, run, "offices", conservation=equation)
        keep_report(store, run)
        move_run(store, run, (NOW - SUNDAY).days - 7 * week)
    store.execute(
        "insert into hybrid_sync.fence (entity, fence)"
        " select entity, %s from unnest(array['payments', 'offices']) entity",
        (Jsonb({"taken_at": f"{NOW - timedelta(hours=9):%Y-%m-%dT%H:%M:%SZ}"}),),
    )
    _asked(store)
    _measured(store, FIRST)


def _asked(store: Store) -> None:
    """A request of a program."""
    add_run(store, REQUEST)
    asked = {
        "requested_by": "token:5b1c9e0f2d", "refs": [{"entity": "payments"}],
        "accepted_at": (NOW - timedelta(hours=3)).isoformat(),
    }  # fmt: skip
    store.execute(
        "update hybrid_sync.run set profile = 'on_demand', trigger = 'api', priority = 'critical',"
        " request = %s, started_at = %s, finished_at = %s where run_id = %s",
        (Jsonb(asked), NOW - timedelta(hours=2, minutes=45), NOW - timedelta(hours=2, minutes=44), REQUEST),
    )
    add_entity(store, REQUEST, "payments", conservation={**EQUATION, "current": 90, "stale": 0, "absent": 0})


def _measured(store: Store, run: str) -> None:
    """Where its time went: it waited for locks."""
    store.execute(_MEASURED, {"run": run, "times": Jsonb(_TIMES)})


def bad_night(store: Store, looked: Looked) -> None:
    """A run at work that waits, one in the queue, an entity that failed, one that is held; legacy is away."""
    looked.catalog = with_more(LONG)
    sound(store, looked)
    add_run(store, WEEKLY, "degraded")
    store.execute("update hybrid_sync.run set started_at = %s, finished_at = %s where run_id = %s",
                  (NOW - timedelta(hours=5), NOW - timedelta(hours=4), WEEKLY))  # fmt: skip
    add_entity(
        store, WEEKLY, "payments", conservation=EQUATION,
        money=[money_line("total", "USD", "1204553.10", target="1204463.10"), money_line("total", "JPY", "98000")],
    )  # fmt: skip
    add_batch(
        store,
        WEEKLY,
        "payments",
        0,
        BatchResult(read=90, inserted=4, updated=7, failed=3),
        f"{NOW - timedelta(hours=4)}",
    )
    add_entity(
        store, WEEKLY, LONG, status="failed",
        failure={"code": "structure_mismatch", "text": f"The target's table {LONG} has no column orthodontist_id."},
    )  # fmt: skip
    for number, (reason, status) in enumerate(
        (("bad_json", "escalated"), ("missing_parent", "open"), ("unique_violation", "escalated"))
    ):
        for key in range(number + 1):
            add_failed(store, 9_007_199_254_740_000 + key + 10 * number, reason, first_run=WEEKLY, status=status)
    keep_report(store, WEEKLY)
    _measured(store, WEEKLY)
    store.execute(
        "insert into hybrid_sync.entity_state (entity, held, held_by, held_why, held_at)"
        " values ('offices', true, %s, 'Being repaired in Pune; nobody releases it before the vendor answers.', %s)",
        (SOMEBODY, NOW - timedelta(hours=3)),
    )  # fmt: skip
    at_work = AT_WORK
    add_run(store, at_work, "running")
    store.execute("update hybrid_sync.run set profile = 'daily', started_at = clock_timestamp() - interval '4 minutes'"
                  " where run_id = %s", (at_work,))  # fmt: skip
    add_entity(store, at_work, "payments", status="planned", planned=40)
    add_entity(store, at_work, LONG, status="planned", planned=None)
    for lo in range(0, 6_000, 500):
        add_batch(store, at_work, "payments", lo, BatchResult(read=500, updated=3, failed=1), f"{NOW}")
    gone = Refusal("legacy_unavailable", "It does not let us in: too many connections.", needs_person=False)
    breaker = looked.breakers.legacy = Breaker(
        away_since=NOW - timedelta(minutes=12), opened_at=NOW, why=gone, next_probe=NOW + timedelta(seconds=30)
    )

    def away() -> None:
        raise refusal("legacy", breaker, NOW)

    looked.outlook.answers = {"Legacy": away, "Target": lambda: None, "Id map": lambda: None}
    looked.outlook.lengths = {"failed": 412, "given up": 3}
    request = RunRequest(profile=Profile.on_demand, priority=RunPriority.critical, trigger="api")
    waits = new_job("on_demand-20260107T115900-9c0e11", request, "token:5b1c9e0f2d", NOW - timedelta(minutes=1))
    looked.gate.standings = [Standing(replace(waits), 1, "The legacy database has been away since 11:48 UTC.")]
    store.execute(_AUDITED, {"now": NOW, "who": SOMEBODY})


def crowded(store: Store, looked: Looked) -> None:
    """200 entities, and a run that failed for 60 causes."""
    names = [f"entity_{number:03}_{'x' * (number % 30)}" for number in range(MANY)]
    looked.catalog = with_more(*names)
    add_run(store, WEEKLY, "degraded")
    for name in ("payments", *names):
        add_entity(store, WEEKLY, name, conservation=EQUATION)
    for number in range(CAUSES):
        add_failed(
            store,
            number,
            f"rule_{number:02}_of_the_catalog",
            entity=names[number],
            first_run=WEEKLY,
            status="escalated",
        )
    keep_report(store, WEEKLY)


def with_more(*names: str) -> Catalog:
    """The small catalog, and entities of these names."""
    more = {
        name: Entity.model_validate(
            {
                "entity": name, "target": name[:63],
                "sources": {"only": {"from": "dispatch_office o", "key": {"legacy_id": "o.id"}}},
            }
        )
        for name in names
    }  # fmt: skip
    return Catalog({**CATALOG.entities, **more})


SCENES: dict[str, Callable[[Store, Looked], None]] = {
    "new": new, "sound": sound, "bad-night": bad_night, "crowded": crowded,
}  # fmt: skip
