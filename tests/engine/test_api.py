"""The HTTP API over real runs: what it lists, the life of a row, what is fresh, what is served, what is undone."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import new_job
from hybrid_sync.breaker.state import Breaker
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.http.calls import health
from hybrid_sync.metering import MeasuredCall
from hybrid_sync.runs.holds import hold
from hybrid_sync.runs.starter import RunState
from hybrid_sync.runs.usage import Recorder
from hybrid_sync.services.freshness import FALLEN_BACK_SECONDS, SERVED_SECONDS
from hybrid_sync.timing import Times
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.unit.asking import STARTED, Desk, event


@pytest.fixture
def desk(world: EngineWorld) -> Desk:
    health._kept.clear()
    return Desk(world)


def get(desk: Desk, path: str) -> Any:
    status, told = desk.ask("GET", path)
    assert status == 200, told
    return told


def post(desk: Desk, path: str, body: Any = None) -> Any:
    status, told = desk.ask("POST", path, body)
    assert status in (200, 202), told
    return told


def lived(desk: Desk, path: str) -> list[tuple[str, str]]:
    """(what, run) of a row's events, the oldest first."""
    return [(e["what"], e["run_id"]) for e in reversed(get(desk, f"/v1/records/{path}")["events"])]


def test_the_life_of_a_row_has_each_run_that_wrote_it_and_what_was_undone(
    desk: Desk, world: EngineWorld, legacy: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'New@Example.org' where id = 3")
    run(world, "second")
    run(world, "asked", profile=Profile.on_demand, refs=[{"entity": "people", "legacy_id": 3}])
    shown = get(desk, "/v1/syncs/second")
    assert (shown["status"], shown["place"]) == ("succeeded", None)
    people = next(one for one in shown["entities"] if one["entity"] == "people")
    assert (people["status"], people["batches"], people["batches_done"], people["rows_read"]) == ("verified", 1, 1, 1)
    told = post(desk, "/v1/syncs/second/rollback", {})
    assert lived(desk, "people/3") == [
        ("inserted", "first"), ("linked", "first"), ("updated", "second"), ("asked", "asked"),
        ("undone_updated", told["rollback_id"]), ("failed", told["rollback_id"]),
    ]  # fmt: skip
    assert lived(desk, "people/4") == [("inserted", "first"), ("linked", "first")]
    # A key of several parts is itself: 3,4 stands in the journal as the end of one key and the beginning of the next.
    assert lived(desk, "grants/1,3") == lived(desk, "grants/1%2C3") == [("inserted", "first")]
    assert lived(desk, "grants/3,4") == []
    whole = get(desk, "/v1/records/people/3")
    assert (whole["events"][0]["detail"], whole["events"][1]["undoes"]) == ("rolled_back", "second")
    assert "Example.org" not in str(whole)


def test_a_failed_record_its_retries_and_a_persons_word_stand_in_the_life_of_its_row(
    desk: Desk, world: EngineWorld, legacy: Query
) -> None:
    legacy("update person set kind = 99 where id = 5")
    run(world, "first")
    [failed] = get(desk, "/v1/failures?entity=people&limit=1")["failures"]
    assert (failed["key"], failed["status"]) == ([5], "open") and failed["remedy"]
    assert post(desk, "/v1/failures/accept", {"entity": "people", "keys": [[5]], "why": "known"}) == {"accepted": 1}
    events = [(e["what"], e["detail"]) for e in get(desk, "/v1/records/people/5")["events"]]
    assert events == [("accepted", failed["reason"]), ("failed", failed["reason"])]


NOT_THERE = {
    "/v1/records/nonsense/1": "entity_not_found",
    "/v1/records/people/one": "record_not_found",
    "/v1/records/people/9223372036854775808": "record_not_found",
    "/v1/entities/nonsense/route": "entity_not_found",
    "/v1/syncs/nothing": "run_not_found",
    f"/v1/syncs/{'x' * 121}": "run_not_found",
    "/v1/failures?run_id=nothing": "run_not_found",
}
MEANINGLESS = {
    "/v1/records/people/1,2": "1 part(s)",
    "/v1/records/messages/1": "several sources",
    "/v1/failures?reason=nonsense": "no reason nonsense",
    "/v1/syncs?entity=nonsense": "no entity nonsense",
    "/v1/syncs?cursor=nonsense": "cursor",
    "/v1/failures?cursor=WzFd": "cursor",
    "/v1/syncs?limit=0": "limit",
    "/v1/syncs?status=complete": "status",
    "/v1/syncs?x=1": "x",
    "/v1/syncs?limit=1&limit=2": "limit",
}


def test_what_is_not_there_is_not_found_and_a_question_that_means_nothing_is_refused(desk: Desk) -> None:
    for path, code in NOT_THERE.items():
        status, told = desk.ask("GET", path)
        assert (status, told["code"]) == (404, code), path
    for path, word in MEANINGLESS.items():
        status, told = desk.ask("GET", path)
        assert (status, told["code"]) == (422, "request_rejected"), path
        assert word in told["detail"]


def test_a_run_whose_report_the_bucket_has_lost_ended_as_the_target_says(desk: Desk, world: EngineWorld) -> None:
    run(world, "asked", profile=Profile.on_demand, refs=[{"entity": "people", "legacy_id": 4711}])
    desk.starter.states["asked"] = RunState("asked", "succeeded", STARTED, STARTED)  # so its execution has
    assert get(desk, "/v1/syncs/asked")["status"] == "degraded"


def test_runs_are_listed_page_by_page_each_once_and_what_waits_comes_first(desk: Desk, world: EngineWorld) -> None:
    names = [f"run-{n}" for n in range(5)]
    for name in names:
        run(world, name, profile=Profile.on_demand, entities=("clinics",))
    waiting = new_job("api-1", RunRequest(profile=Profile.on_demand, entities=("people",)), "token-1", STARTED)
    desk.starter.waiting["api-1"] = Standing(waiting, 1, "3 runs are at work.")
    seen, cursor = [], ""
    for _ in range(3):
        page = get(desk, f"/v1/syncs?limit=2{cursor}")
        seen.append([one["run_id"] for one in page["syncs"]])
        cursor = f"&cursor={page['next']}"
    assert seen == [["api-1", "run-4", "run-3"], ["run-2", "run-1"], ["run-0"]]
    assert page["next"] is None
    first = get(desk, "/v1/syncs?limit=1")["syncs"][0]
    assert (first["status"], first["place"], first["why"]) == ("waiting", 1, "3 runs are at work.")
    assert get(desk, "/v1/syncs?entity=invoices")["syncs"] == []
    assert [one["run_id"] for one in get(desk, "/v1/syncs?entity=people")["syncs"]] == ["api-1"]
    assert get(desk, "/v1/syncs?status=failed")["syncs"] == get(desk, "/v1/syncs?profile=hourly")["syncs"] == []
    assert len(get(desk, "/v1/syncs?since=2020-01-01T00:00:00Z&status=succeeded")["syncs"]) == 5


def test_a_preview_counts_what_would_be_undone_and_changes_nothing(
    desk: Desk, world: EngineWorld, legacy: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'New@Example.org' where id in (3, 4)")
    run(world, "second")
    seen = post(desk, "/v1/syncs/second/rollback", {"preview": True})
    assert (seen["possible"], seen["rollback_id"], seen["would_undo"]) == (
        True, "", [{"entity": "people", "inserted": 0, "updated": 2, "linked": 0, "deleted": 0}],
    )  # fmt: skip
    grants = next(
        one
        for one in post(desk, "/v1/syncs/first/rollback", {"preview": True, "out_of_order": True})["would_undo"]
        if one["entity"] == "grants"
    )
    assert grants["inserted"] == 12  # rows, not parts of keys
    blocked = post(desk, "/v1/syncs/first/rollback", {"preview": True})
    assert not blocked["possible"] and "Run second has written" in blocked["why"]
    assert get(desk, "/v1/holds") == {"holds": []}
    post(desk, "/v1/syncs/second/rollback", {})
    undone = post(desk, "/v1/syncs/second/rollback", {"preview": True})
    assert not undone["possible"] and "was rolled back by rollback-second-1 already" in undone["why"]


def test_a_rollback_holds_until_its_run_is_released(desk: Desk, world: EngineWorld) -> None:
    run(world, "first")
    answer = desk.api.resolve(event("POST", "/v1/syncs/first/rollback", "{}", {}))
    assert (answer["statusCode"], answer["headers"]["Location"].rpartition("/")[2]) == (202, "rollback-first-1")
    assert get(desk, "/v1/syncs/rollback-first-1")["status"] == "succeeded"
    assert get(desk, "/v1/syncs/first")["status"] == "rolled_back"
    held = [one["entity"] for one in get(desk, "/v1/holds")["holds"]]
    assert len(held) == 6
    assert post(desk, "/v1/syncs/first/release") == {"released": held}
    status, told = desk.ask("POST", "/v1/syncs/first/release")
    assert (status, told["detail"]) == (422, "Run first holds no entity.")
    with world.connect_target() as target:
        hold(target, ["people"], "ann", "restore")
    assert desk.ask("POST", "/v1/syncs/first/release")[0] == 422  # what a person holds is not a run's to release
    assert get(desk, "/v1/holds")["holds"] == [{"entity": "people", "by": "ann", "why": "restore"}]


def route(desk: Desk, query: str = "") -> tuple[str, list[str], int]:
    told = get(desk, f"/v1/entities/people/route{query}")
    return told["serve"], told["why"], told["ttl_seconds"]


def test_an_entity_is_served_from_the_target_only_while_nothing_speaks_against_it(
    desk: Desk, world: EngineWorld, target: Query
) -> None:
    assert route(desk) == ("legacy", ["never_synced"], FALLEN_BACK_SECONDS)
    before = get(desk, "/v1/freshness")
    assert (before["weekly_days"], [one["current_until"] for one in before["entities"]]) == (None, [None] * 6)
    run(world, "first")
    told = get(desk, "/v1/freshness")
    assert [one["entity"] for one in told["entities"]] == sorted(world.catalog.entities)
    assert 0 <= told["weekly_days"] < 1
    assert all(one["verified"] and one["verified_by"] == "first" for one in told["entities"])
    assert route(desk) == ("target", [], SERVED_SECONDS)
    target("update hybrid_sync.fence set fence = fence || jsonb_build_object('taken_at', now() - interval '50 s')")
    assert route(desk, "?max_age_seconds=30") == ("legacy", ["stale"], FALLEN_BACK_SECONDS)
    serve, _, ttl = route(desk, "?max_age_seconds=80")
    assert serve == "target" and 0 <= ttl <= 30  # no longer than it stays fresh enough
    with world.connect_target() as connection:
        hold(connection, ["people"], "ann", "restore")
    assert route(desk) == ("legacy", ["held"], FALLEN_BACK_SECONDS)
    post(desk, "/v1/syncs/first/rollback", {})
    post(desk, "/v1/syncs/first/release")
    assert route(desk)[:2] == ("legacy", ["never_synced", "rolled_back"])


def test_an_entity_that_was_not_verified_is_read_from_legacy_until_it_is(
    desk: Desk, world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    run(world, "few", profile=Profile.on_demand, refs=[{"entity": "people", "legacy_id": 3}])
    target("update hybrid_sync.run_entity set status = 'incomplete' where run_id = 'few'")
    assert route(desk)[0] == "target"  # single rows say nothing of the rest
    run(world, "second")
    target("update hybrid_sync.run_entity set status = 'failed', detection = null where run_id = 'second'")
    assert route(desk)[:2] == ("legacy", ["not_verified"])
    run(world, "third")
    assert route(desk)[0] == "target"


def test_a_route_knows_which_database_lets_nobody_in(desk: Desk, world: EngineWorld) -> None:
    run(world, "first")
    gone = Breaker(away_since=STARTED, opened_at=STARTED, next_probe=STARTED)
    desk.breakers.open["legacy"] = gone
    assert route(desk)[:2] == ("target", [])
    assert get(desk, "/v1/entities/people/route")["legacy_away"]
    desk.breakers.open = {"target": gone}
    assert route(desk) == ("legacy", ["target_away"], FALLEN_BACK_SECONDS)
    assert not get(desk, "/v1/entities/people/route")["legacy_away"]


def test_a_route_is_told_while_the_target_is_away() -> None:
    told = get(Desk(), "/v1/entities/payments/route")
    assert (told["serve"], told["why"]) == ("legacy", ["target_unavailable"])


def test_health_tells_the_truth_in_words_alone(desk: Desk, world: EngineWorld, target: Query) -> None:
    told = get(desk, "/v1/health")
    assert told == {
        "status": "ok", "entities": 6, "legacy": "ok", "target": "ok", "queue": "ok", "last_run": "none",
        "verified": "in time", "checked_at": "2026-11-29T01:00:00Z",
    }  # fmt: skip
    run(world, "first")
    assert get(desk, "/v1/health")["last_run"] == "none"  # kept for some seconds
    health._kept.clear()
    assert get(desk, "/v1/health")["last_run"] == "succeeded"
    target("update hybrid_sync.run set status = 'failed'")
    target("update hybrid_sync.migration set applied_at = now() - interval '9 days'")
    desk.starter.paused = "by ann"
    health._kept.clear()
    told = get(desk, "/v1/health")
    assert (told["status"], told["last_run"], told["verified"], told["queue"]) == (
        "degraded", "failed", "late", "paused",
    )  # fmt: skip
    assert "ann" not in str(told)
    for side in ("legacy", "target"):
        health._kept.clear()
        setattr(world, f"{side}_dsn", "postgresql://nobody:secret@127.0.0.1:1/x")
        status, told = desk.ask("GET", "/v1/health")
        assert (status, told["status"], told[side]) == (503, "down", "away")
        assert "127.0.0.1" not in str(told)


def test_where_the_time_went_and_who_uses_what_are_told(desk: Desk, world: EngineWorld) -> None:
    assert desk.ask("GET", "/v1/syncs/first/performance")[0] == 404
    run(world, "first")
    assert desk.ask("GET", "/v1/syncs/first/performance")[0] == 404  # these functions have measured nothing
    times = {"lock": Times(2, 3_000_000, 1_000_000, 2_000_000)}
    measured = MeasuredCall("first", "people", "s-sync-batch", "w", 512, 1, milliseconds=4_000, times=times)
    Recorder(world.connect_target).record(measured, now=True)
    told = get(desk, "/v1/syncs/first/performance")
    assert [(one["step"], one["seconds"]) for one in told["performance"]["steps"]] == [("lock", 3), ("sync batch", 1)]
    used = get(desk, "/v1/usage?days=30")
    assert {one["entity"] for one in used["entities"]} == set(world.catalog.entities)
    assert [(one["profile"], one["runs"]) for one in used["entities"][0]["profiles"]] == [("weekly", 1)]
    assert desk.ask("GET", "/v1/usage?days=0")[0] == 422
