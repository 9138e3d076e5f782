"""A run of a few keys is one function and one transaction; what it cannot do, the whole flow does instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg
import pytest

from hybrid_sync.contracts import Ref, RollbackTask, RunRequest, StartedRun, SyncedKeys
from hybrid_sync.entrypoint import metrics
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.retries import UNSEEN_KEY
from hybrid_sync.runs.holds import hold
from hybrid_sync.steps import sync_keys as step
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_keys import sync_keys
from tests.engine.conftest import Query
from tests.engine.policies import HARD, with_policies
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct
from tests.flow.functions import deployed

AT_ONCE = ["ChooseWay", "SyncKeys", "KeysSynced", "TakeOutcome", "KeptItsPromises", "RunSucceeded"]


@dataclass(frozen=True)
class Meanwhile:
    """Something happens at a failpoint, once."""

    happens: Callable[[], object]

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.happens()


def asked(*refs: tuple[str, int], run_id: str = "asked") -> RunRequest:
    named = tuple(Ref(entity=entity, legacy_id=key) for entity, key in refs)
    return RunRequest(run_id=run_id, profile="on_demand", refs=named)


def status(said: SyncedKeys) -> str:
    assert said.outcome is not None, said.why
    return said.outcome.status


def states(world: EngineWorld, run_id: str, refs: Sequence[Ref], **more: Any) -> list[str]:
    return conduct(execution(world, run_id, profile="on_demand", refs=tuple(refs), **more), functions_of(world)).states


def test_a_row_takes_one_state_and_one_connection_to_each_side(
    world: EngineWorld, legacy: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world, "first")
    legacy("update invoice set total = 7 where id = 2")
    opened: list[str] = []
    for side in ("legacy", "target"):
        monkeypatch.setattr(world, f"connect_{side}", counted(opened, getattr(world, f"connect_{side}")))
    assert states(world, "asked", [Ref(entity="invoices", legacy_id=2)]) == AT_ONCE
    assert opened == ["connect_legacy", "connect_target"]


@pytest.mark.parametrize("named", ["visits", "nowhere"])
def test_deletes_allowed_of_what_the_keys_are_not_of_are_refused_as_in_any_run(world: EngineWorld, named: str) -> None:
    """As an execution may say that somebody starts by hand: all else that starts runs refuses it before."""
    run(world, "first")
    found = conduct(
        execution(
            world, "asked", profile="on_demand", refs=(Ref(entity="invoices", legacy_id=2),), allow_deletes=(named,)
        ),
        functions_of(world),
    )
    assert found.error == "request_rejected"
    assert named in found.cause


def counted(opened: list[str], connect: Callable[[], Connection]) -> Callable[[], Connection]:
    def opening() -> Connection:
        opened.append(connect.__name__)
        return connect()

    return opening


def test_everything_of_the_run_commits_together(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("insert into person (id, clinic_id, email, manager_id) values (70, 1, 'n@example.org', 71),"
           " (71, 1, 'm@example.org', 70)")  # fmt: skip
    legacy("insert into visit (id, person_id, note) values (72, 70, 'n')")
    legacy("delete from remark where id = 1; update visit set note = 'forbidden' where id = 3")
    refs = [Ref(entity="visits", legacy_id=72), Ref(entity="visits", legacy_id=3)]
    refs.append(Ref(entity="messages", source="remark", legacy_id=1))
    seen: list[Any] = []

    def look() -> None:
        seen.append(target("select count(*) from hybrid_sync.run where run_id = 'asked'")[0][0])

    with armed({"keys.before_commit": Meanwhile(look)}):
        assert states(world, "asked", refs)[1] == "SyncKeys"
    assert seen == [0]
    xids = target("select count(distinct r.xmin::text) from hybrid_sync.batch_done r where run_id = 'asked'")
    assert xids == [(1,)]
    assert target("select legacy_id, manager_id is not null from people where legacy_id >= 70 order by 1") == [
        (70, True), (71, True),
    ]  # fmt: skip
    assert target("select count(*) from messages where legacy_source = 'remark' and legacy_id = 1") == [(0,)]
    assert target("select key, reason, present from hybrid_sync.failed_record where first_run = 'asked'") == [
        ([3], "check_violation", True)
    ]
    assert target("select status from hybrid_sync.run where run_id = 'asked'") == [("degraded",)]


BEFORE = ("keys.opened", "keys.read", "batch.mapped", "batch.journalled", "keys.written", "keys.before_commit")
BEHIND = ("keys.committed", "keys.verified", "report.finished", "report.committed", "report.stored")


@pytest.mark.parametrize("point", [*BEFORE, *BEHIND])
def test_a_delivery_that_dies_anywhere_is_repeated_without_writing_twice(
    world: EngineWorld, legacy: Query, target: Query, point: str
) -> None:
    run(world, "first")
    legacy("insert into person (id, clinic_id, email) values (70, 1, 'n@example.org')")
    legacy("insert into visit (id, person_id, note) values (72, 70, 'n')")
    with armed({point: Raise()}), pytest.raises(FailpointRaised):
        sync_keys(world, asked(("visits", 72)))
    there = target("select count(*) from hybrid_sync.run where run_id = 'asked'")
    assert there == [(0,) if point in BEFORE else (1,)]
    assert status(sync_keys(world, asked(("visits", 72)))) == "succeeded"
    assert target("select entity, result->>'inserted' from hybrid_sync.batch_done where run_id = 'asked'"
                  " order by 1") == [("people", "1"), ("visits", "1")]  # fmt: skip
    assert target("select count(*), sum(cardinality(keys)) from hybrid_sync.journal where run_id = 'asked'") == [(2, 2)]
    assert target("select status, report is not null from hybrid_sync.run where run_id = 'asked'") == [
        ("succeeded", True)
    ]


def test_a_run_that_has_ended_is_not_written_again(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update invoice set total = 7 where id = 2")
    assert status(sync_keys(world, asked(("invoices", 2)))) == "succeeded"
    legacy("update invoice set total = 8 where id = 2")
    assert status(sync_keys(world, asked(("invoices", 2)))) == "succeeded"
    assert target("select total from invoices where legacy_id = 2") == [(7,)]


def test_a_run_that_the_whole_flow_has_begun_is_left_to_it(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "asked", profile="on_demand", entities=("invoices",))
    target("update hybrid_sync.run set status = 'running' where run_id = 'asked'")
    said = sync_keys(world, asked(("invoices", 2)))
    assert (said.whole, said.why) == (True, "begun")


def test_what_commits_before_the_locks_is_read_behind_them(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update invoice set total = 7 where id = 2")
    with armed({"keys.opened": Meanwhile(lambda: legacy("update invoice set total = 8 where id = 2"))}):
        assert status(sync_keys(world, asked(("invoices", 2)))) == "succeeded"
    assert target("select total from invoices where legacy_id = 2") == [(8,)]


def test_a_parent_that_appears_between_the_look_and_the_locks_is_carried_too(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")

    def another_parent() -> None:
        legacy("insert into person (id, clinic_id, email) values (70, 1, 'n@example.org')")
        legacy("update visit set person_id = 70 where id = 3")

    with armed({"keys.opened": Meanwhile(another_parent)}):
        assert status(sync_keys(world, asked(("visits", 3)))) == "succeeded"
    arrived = "select p.legacy_id from visits v join people p on p.id = v.person_id where v.legacy_id = 3"
    assert target(arrived) == [(70,)]
    assert target("select entity, requested from hybrid_sync.run_entity where run_id = 'asked' order by 1") == [
        ("people", {"person": [[70]]}), ("visits", {"visit": [[3]]}),
    ]  # fmt: skip


def test_a_key_that_legacy_does_not_show_yet_is_waited_for(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            legacy("insert into clinic (id, name, country) values (77, 'Late', 'US')")

    assert status(sync_keys(world, asked(("clinics", 77)), wait=wait)) == "succeeded"
    assert waited == [UNSEEN_KEY.delay(n) for n in (1, 2, 3)]


def test_a_key_that_nobody_has_is_waited_for_no_longer_than_a_few_seconds(world: EngineWorld) -> None:
    run(world, "first")
    waited: list[float] = []
    assert status(sync_keys(world, asked(("clinics", 99)), wait=waited.append)) == "degraded"
    assert len(waited) == UNSEEN_KEY.attempts - 1
    assert sum(waited) < 3


def test_a_key_that_the_target_knows_has_gone_and_nobody_waits(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("delete from remark where id = 1")
    request = RunRequest(
        run_id="asked", profile="on_demand", refs=(Ref(entity="messages", source="remark", legacy_id=1),)
    )
    waited: list[float] = []
    assert status(sync_keys(world, request, wait=waited.append)) == "succeeded"
    again = request.model_copy(update={"run_id": "again"})
    assert status(sync_keys(world, again, wait=waited.append)) == "succeeded"
    assert waited == []


def test_an_undo_takes_back_what_the_run_wrote(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    before = target("select id, legacy_id, note from visits order by 2")
    legacy(
        "update visit set note = 'changed' where id = 3; insert into visit (id, person_id, note) values (72, 3, 'n')"
    )
    assert status(sync_keys(world, asked(("visits", 3), ("visits", 72)))) == "succeeded"
    outcome = rollback_run(world, RollbackTask(run_id="asked"))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id="asked", rollback_id=outcome.rollback_id))
    assert target("select id, legacy_id, note from visits order by 2") == before
    assert target("select status, undone_by is not null from hybrid_sync.run where run_id = 'asked'")[0][1]


def test_the_cache_of_ids_is_neither_asked_nor_filled(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("insert into visit (id, person_id, note) values (72, 3, 'n')")
    world.id_cache = None  # type: ignore[assignment]
    assert status(sync_keys(world, asked(("visits", 72)))) == "succeeded"


# --- the whole flow ------------------------------------------------------------------------------------------------


def test_more_rows_than_a_few_go_the_whole_way(world: EngineWorld, target: Query) -> None:
    many = [Ref(entity="invoices", legacy_id=n) for n in range(1, step.MOST_KEYS + 2)]
    went = states(world, "asked", many)
    assert went[:5] == ["ChooseWay", "SyncKeys", "KeysSynced", "TakeWholeWay", "PlanRun"]
    assert target("select count(*) > 0 from invoices") == [(True,)]


def test_parents_count_among_the_few(world: EngineWorld) -> None:
    request = asked(("invoices", 3))
    assert sync_keys(world, request, most=2).why == "too_many_keys"
    assert status(sync_keys(world, request, most=40)) == "succeeded"


@pytest.mark.parametrize("more", [{"entities": ("people",)}, {"repair": True}, {"since": "2026-01-01"}])
def test_a_request_for_more_than_keys_goes_the_whole_way(world: EngineWorld, more: dict[str, Any]) -> None:
    said = sync_keys(world, asked(("invoices", 3)).model_copy(update=more))
    assert (said.whole, said.outcome) == (True, None)
    assert said.request is not None
    assert said.request.refs == (Ref(entity="invoices", legacy_id=3),)


def test_a_held_entity_is_left_to_the_whole_flow_which_says_so(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    with world.connect_target() as connection, transaction(connection, "target"):
        hold(connection, ["invoices"], "a test", "why not")
    went = states(world, "asked", [Ref(entity="invoices", legacy_id=2)])
    assert (went[3], went[-1]) == ("TakeWholeWay", "RunFailed")
    assert target("select failure->>'code' from hybrid_sync.run_entity where run_id = 'asked'") == [("entity_held",)]


def test_values_that_swap_are_left_to_the_whole_flow_and_arrive(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    target("create unique index on invoices (total)")
    legacy("update invoice set total = case id when 2 then 30.15 else 20.10 end where id in (2, 3)")
    went = states(world, "asked", [Ref(entity="invoices", legacy_id=2)])
    assert (went[3], went[-1]) == ("TakeWholeWay", "RunSucceeded")
    assert target("select legacy_id, total from invoices where legacy_id in (2, 3) order by 1") == legacy(
        "select id, total from invoice where id in (2, 3) order by 1"
    )


def test_a_table_that_does_not_fit_is_left_to_the_whole_flow(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("alter table invoices drop column total cascade")
    assert sync_keys(world, asked(("invoices", 2))).why == "structure_mismatch"
    assert target("select count(*) from hybrid_sync.run where run_id = 'asked'") == [(0,)]


def test_a_function_that_fails_for_good_ends_its_run_with_a_report(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("update invoice set total = 7 where id = 2")
    functions = functions_of(world)

    def away() -> None:
        raise psycopg.errors.InternalError_

    with armed({"keys.verified": Meanwhile(away)}), pytest.raises(psycopg.errors.InternalError_):
        conduct(execution(world, "asked", profile="on_demand", refs=(Ref(entity="invoices", legacy_id=2),)), functions)


def test_what_is_read_is_locked_until_the_commit(world: EngineWorld, legacy: Query, target_db: str) -> None:
    run(world, "first")
    legacy("update invoice set total = 7 where id = 2")
    refused: list[str] = []

    def another_writer() -> None:
        with psycopg.connect(target_db) as other:
            other.execute("set lock_timeout = '100ms'")
            try:
                other.execute("select hybrid_sync.lock_buckets('invoices', 'invoice', '{0}')")
            except psycopg.errors.LockNotAvailable:
                refused.append("locked")

    with armed({"keys.read": Meanwhile(another_writer)}):
        assert status(sync_keys(world, asked(("invoices", 2)))) == "succeeded"
    assert refused == ["locked"]


def test_a_function_that_is_set_up_wrongly_is_noticed_though_the_whole_flow_does_its_work(
    world: EngineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> NoReturn:
        raise ConfigurationMissing("The secret holds no id_secret.", "Fill it in.")

    metrics.clear_metrics()  # what an earlier test of this process has counted
    _, function = deployed("sync_keys")
    request = asked(("invoices", 2))
    expected: tuple[tuple[bool, list[float]], ...] = ((False, []), (True, [1.0]))
    for wrongly, counted in expected:
        if wrongly:
            monkeypatch.setattr(step, "find_keys", missing)
        said = function(world, StartedRun(run_id=f"few-{wrongly}", request=request))
        assert isinstance(said, SyncedKeys)
        assert (said.whole, metrics.metric_set.get("TakenOver", {"Value": []})["Value"]) == (wrongly, counted)
    metrics.clear_metrics()
