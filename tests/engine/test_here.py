"""A run in this process is a run like any other: the deployment carries on from it, and each undoes the other's."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hybrid_sync.contracts import Profile, Ref, RollbackTask, RunRequest
from hybrid_sync.erase.records import Erasure
from hybrid_sync.errors import ConfigurationMissing, LegacyUnavailable, RunNotFound
from hybrid_sync.report.model import RunSummary
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.secret import Connections
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.execution import Execution
from hybrid_sync_cli.flow.play import outcome, settle
from hybrid_sync_cli.here.folder import FolderErasures
from hybrid_sync_cli.here.perform import Hands, perform, undo
from hybrid_sync_cli.here.world import HereWorld
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct

IDS = """
select 'people', legacy_id::text, id from people union all
select 'messages', legacy_source || legacy_id, id from messages order by 1, 2
"""


@pytest.fixture
def here(world: EngineWorld, tmp_path: Path) -> Iterator[HereWorld]:
    world.build = "a deployment"
    made = here_of(world, tmp_path)
    yield made
    made.close()


def here_of(world: EngineWorld, folder: Path, secret: bytes | None = None) -> HereWorld:
    held = Connections(
        legacy_dsn=SecretStr(world.legacy_dsn), target_dsn=SecretStr(world.target_dsn),
        id_secret=SecretStr((secret or world.id_secret).decode()),
    )  # fmt: skip
    return HereWorld(world.catalog, held, folder)


def carried(here: HereWorld, run_id: str, profile: Profile = Profile.weekly, **request: object) -> RunSummary:
    asked = RunRequest.model_validate({"profile": profile, "trigger": "cli", **request})
    return perform(here, run_id, asked, "AWS is away", lambda line: None)


def test_the_deployment_carries_on_from_a_run_here_and_every_id_stays(
    here: HereWorld, world: EngineWorld, legacy: Query, target: Query, tmp_path: Path
) -> None:
    run(world, "before", profile="daily")
    legacy("insert into person (id, clinic_id, email) values (50, 1, 'fifty@example.org')")
    legacy("update visit set note = 'while AWS is away' where id = 1")
    summary = carried(here, "here-1")
    assert (summary.status, summary.adds_up) == ("succeeded", "explained")
    ids = target(IDS)
    assert ("people", "50") in [row[:2] for row in ids]
    after = run(world, "after", profile="weekly")
    assert after.outcome.status == "succeeded"
    assert {name: after.total(name)["read"] for name in after.batches if after.total(name)["updated"]} == {}
    assert target(IDS) == ids
    assert json.loads((tmp_path / "reports" / "here-1.json").read_text("utf-8"))["status"] == "succeeded"
    [(who, what)] = target("select who, what from hybrid_sync.audit where command = 'run-here'")
    assert (who[:5], what["override_lease"]) == ("here:", "AWS is away")


def test_another_id_secret_is_refused_in_one_sentence_here_and_in_the_deployment(
    here: HereWorld, world: EngineWorld, legacy: Query, target: Query, tmp_path: Path
) -> None:
    assert carried(here, "first", Profile.daily).status == "succeeded"
    other = here_of(world, tmp_path, b"another secret")
    with pytest.raises(CliError, match=r"did not begin: configuration_missing: The id secret is not the one"):
        carried(other, "second", Profile.daily)
    other.close()
    secret, world.id_secret = world.id_secret, b"another secret"
    with pytest.raises(ConfigurationMissing, match="The id secret is not the one"):
        run(world, "third", profile="daily")
    legacy("insert into person (id, clinic_id, email) values (50, 1, 'fifty@example.org')")
    with pytest.raises(ConfigurationMissing, match="The id secret is not the one"):
        run(world, "fourth", profile="on_demand", refs=(Ref(entity="people", legacy_id=50),))
    assert target("select run_id from hybrid_sync.run") == [("first",)]
    world.id_secret = secret
    assert run(world, "fifth", profile="daily").outcome.status == "succeeded"


def test_a_batch_under_another_id_secret_is_refused_although_its_run_was_planned_under_the_right_one(
    here: HereWorld, world: EngineWorld, target: Query
) -> None:
    planned = execution(world, "first", profile="daily")
    conduct(planned, functions_of(world), until=lambda delivery: delivery.function == "sync_batch")
    world.id_secret = b"another secret"
    conduct(planned, functions_of(world))
    said = "select distinct error, cause like 'The id secret is not%' from hybrid_sync.run_failure where state like {}"
    assert target(said.format("'SyncBatch%'")) == [("configuration_missing", True)]
    assert target("select count(*) from people where legacy_id is not null") == [(0,)]


def test_each_undoes_what_the_other_has_written(
    here: HereWorld, world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    notes = "select note from visits where legacy_id = 1"
    [before] = target(notes)
    legacy("update visit set note = 'by the deployment' where id = 1")
    run(world, "second", profile="daily")
    assert undo(here, RollbackTask(run_id="second", brief=True), lambda so_far: None).undone.updated == 1
    assert target(notes) == [before]
    with world.connect_target() as connection:
        release(connection, [hold.entity for hold in holds(connection)])
    carried(here, "third", Profile.daily)
    assert target(notes) == [("by the deployment",)]
    assert rollback_run(world, RollbackTask(run_id="third")).undone.updated == 1
    assert target(notes) == [before]


def test_a_few_rows_are_carried_at_once_as_in_the_deployment(
    here: HereWorld, legacy: Query, target: Query
) -> None:  # fmt: skip
    legacy("insert into person (id, clinic_id, email) values (50, 1, 'fifty@example.org')")
    summary = carried(here, "rows", Profile.on_demand, refs=[{"entity": "people", "legacy_id": 50}])
    assert summary.status == "succeeded"
    assert target("select at_once from hybrid_sync.run") == [(True,)]
    assert target("select count(*) from people where legacy_id = 50") == [(1,)]


def test_failed_records_wait_in_the_target_for_the_deployment_to_send_them(
    here: HereWorld, world: EngineWorld, legacy: Query, target: Query
) -> None:
    waiting = "select count(*) from hybrid_sync.failed_record where status = 'open' and queued_at is {} null"
    carried(here, "first", Profile.daily)
    [(before,)] = target(waiting.format(""))
    assert before > 0 and target(waiting.format("not")) == [(0,)]
    run(world, "second", profile="weekly")
    assert world.failure_queue.messages
    assert target(waiting.format(""))[0][0] < before


def test_a_run_of_the_deployment_beside_it_takes_nothing_back(
    here: HereWorld, world: EngineWorld, legacy: Query, target: Query
) -> None:
    """Step by step in turn, while legacy changes between any two: two writers that no slot keeps apart."""
    theirs = execution(world, "theirs", profile="weekly")
    ours = Execution(world.flow, "ours", {"profile": "weekly"}, here.manifests.lines)
    hands = [(theirs, functions_of(world)), (ours, Hands(here, lambda part: None))]
    for n in range(10_000):
        if not (left := [(one, deliver) for one, deliver in hands if one.ready]):
            break
        one, deliver = left[n % len(left)]
        legacy("update visit set note = %s where id = 1", f"version {n}")
        settle(one, one.ready[0], outcome(deliver, one.ready[0]))
    assert (theirs.status, ours.status) == ("SUCCEEDED", "SUCCEEDED")
    assert run(world, "after", profile="weekly").outcome.status == "succeeded"
    assert target("select note from visits where legacy_id = 1") == legacy("select note from visit where id = 1")


def test_a_server_that_is_away_is_said_at_once_and_a_refused_rollback_stands_in_the_trail(
    world: EngineWorld, target: Query, tmp_path: Path
) -> None:
    nowhere = EngineWorld(world.catalog, "postgresql://nobody@127.0.0.1:1/nothing", world.target_dsn)
    away = here_of(nowhere, tmp_path)
    with pytest.raises(LegacyUnavailable):
        carried(away, "first")
    with pytest.raises(RunNotFound):
        undo(away, RollbackTask(run_id="unknown", brief=True), lambda so_far: None)
    away.close()
    assert target("select command, outcome, code from hybrid_sync.audit") == [
        ("rollback-here", "refused", "run_not_found")
    ]


def test_the_fetched_list_of_the_erased_is_read_and_what_the_target_alone_knows_is_added(tmp_path: Path) -> None:
    kept = FolderErasures(tmp_path)
    one = Erasure(number=3, fingerprint="f", by="somebody", why="a letter", at="2026-11-26", keys=())
    assert (kept.write(one), kept.write(one)) == (True, False)
    assert (kept.numbers(), kept.read(3)) == ([3], one)
    with pytest.raises(CliError, match="There is no folder"):
        FolderErasures(tmp_path / "nowhere")


def test_a_run_that_died_here_is_known_to_be_lost_and_one_of_others_is_not_known(here: HereWorld) -> None:
    with here.executions.at_work("ours"):
        assert here.executions.status("ours") == "running"
    assert here.executions.status("ours") == "lost"
    assert here.executions.status("theirs") is None


def _nothing(*_: object) -> None:
    """A signal's handler."""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_a_kill_and_a_closed_terminal_end_the_run_as_cancelled(
    here: HereWorld, target: Query, monkeypatch: pytest.MonkeyPatch, kind: signal.Signals
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(kind)

    # The kinds that end a process at once must not end the tests', whatever the engine does.
    before = {one: signal.signal(one, _nothing) for one in (signal.SIGTERM, signal.SIGHUP)}
    # A process in the background is born with interrupts ignored.
    of_interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(type(here.manifests), "write_once", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            carried(here, "first", Profile.daily)
        assert all(signal.getsignal(one) is _nothing for one in before)
    finally:
        for one, handler in (before | {signal.SIGINT: of_interrupts}).items():
            signal.signal(one, handler)
    assert target("select status from hybrid_sync.run") == [("cancelled",)]


def test_a_closed_terminal_ends_no_run_that_was_started_with_nohup(
    here: HereWorld, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, before = type(here.manifests).write_once, signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def hung_up(*given: Any) -> Any:
        signal.raise_signal(signal.SIGHUP)
        return write(*given)

    monkeypatch.setattr(type(here.manifests), "write_once", hung_up)
    try:
        carried(here, "first", Profile.daily)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert target("select status from hybrid_sync.run") == [("succeeded",)]
