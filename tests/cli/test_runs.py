"""status, report and failures tell what the run store holds; what cannot be done is one sentence."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws

from hybrid_sync.contracts import BatchResult, OnFailure, RunRequest
from hybrid_sync.report.model import RunSummary
from hybrid_sync.runs.starter import RunStarter
from hybrid_sync_cli.stack import Stack
from tests.cli.conftest import Command
from tests.cli.gateway import Desk
from tests.gate.table import control_table
from tests.report.records import EQUATION, add_batch, add_entity, add_failed, add_run, money_line

Store = psycopg.Connection[Any]


def weekly(store: Store) -> None:
    add_run(store, "weekly-1")
    money = [money_line("total", "USD", "4190000.00")]
    add_entity(store, "weekly-1", "payments", planned=1, conservation=EQUATION, money=money)
    result = BatchResult(read=60, inserted=50, failed=2)
    add_batch(store, "weekly-1", "payments", 0, result, "2026-01-04 01:00:03Z")
    add_failed(store, 17229, "missing_parent", first_run="weekly-1")
    add_failed(store, 17230, "unique_violation", first_run="weekly-1", present=True)


def test_status_lists_recent_runs_without_the_queues_own(store: Store, hybrid_sync: Command) -> None:
    weekly(store)
    add_run(store, "retry-1", "failed")
    store.execute("update hybrid_sync.run set trigger = 'retry' where run_id = 'retry-1'")

    said = hybrid_sync("status")
    everything = json.loads(hybrid_sync("status", "--retries", "--json").out)

    assert said.status == 0
    assert "weekly-1" in said.out
    assert "retry-1" not in said.out
    assert {run["run_id"] for run in everything} == {"weekly-1", "retry-1"}


@pytest.mark.parametrize(
    ("money", "verified", "said"),
    [
        ("4190000.00", True, "explained"),
        ("4190000.01", True, "NO"),
        ("4190000.00", False, "NO"),
    ],
)
def test_status_and_the_runs_own_line_agree(
    store: Store, hybrid_sync: Command, money: str, verified: bool, said: str
) -> None:
    add_run(store, "weekly-1")
    lines = [money_line("total", "USD", "4190000.00", target=money)]
    add_entity(store, "weekly-1", "payments", conservation=EQUATION, money=lines)
    add_entity(store, "weekly-1", "offices", conservation=EQUATION if verified else None)

    [listed] = json.loads(hybrid_sync("status", "--json").out)
    run = json.loads(hybrid_sync("report", "weekly-1", "--format", "json").out)

    assert (listed["adds_up"], run["adds_up"]) == (said, said)
    assert f"rows, references and money add up: {said}" in hybrid_sync("status", "weekly-1").out


def test_a_run_of_a_part_is_listed_as_one(store: Store, hybrid_sync: Command) -> None:
    requests = {
        "all": {},
        "rows": {"refs": [{}, {}]},
        "some": {"entities": ["payments"]},
        "days": {"since": "2026-01-01"},
    }
    for run_id, request in requests.items():
        add_run(store, run_id)
        store.execute("update hybrid_sync.run set request = %s where run_id = %s", (json.dumps(request), run_id))

    parts = {run["run_id"]: run["part"] for run in json.loads(hybrid_sync("status", "--json").out)}

    assert parts == {"all": "", "rows": "2 rows", "some": "1 component", "days": "a range of time"}
    assert "everything" in hybrid_sync("status").out


def test_a_run_that_was_rolled_back_is_listed_as_that_and_does_not_add_up(store: Store, hybrid_sync: Command) -> None:
    weekly(store)
    add_run(store, "rollback-weekly-1-1")
    store.execute("update hybrid_sync.run set undone_by = 'rollback-weekly-1-1' where run_id = 'weekly-1'")

    listed = {run["run_id"]: run for run in json.loads(hybrid_sync("status", "--json").out)}

    assert (listed["weekly-1"]["status"], listed["weekly-1"]["adds_up"]) == ("rolled_back", "–")
    assert "rolled back (by rollback-weekly-1-1)" in hybrid_sync("report", "weekly-1").out


def test_status_without_any_run_says_how_to_start_one(store: Store, hybrid_sync: Command) -> None:
    assert "hybrid-sync sync --profile weekly" in hybrid_sync("status").out


def test_a_report_has_the_same_numbers_in_every_format(store: Store, hybrid_sync: Command) -> None:
    weekly(store)

    table = hybrid_sync("report", "weekly-1")
    page = hybrid_sync("report", "weekly-1", "--format", "md")
    machine = RunSummary.model_validate_json(hybrid_sync("report", "weekly-1", "--format", "json").out)

    assert "87 / 90" in table.out
    assert "USD 4,190,000.00" in table.out
    assert "| 87 / 90 |" in page.out
    assert machine.entities[0].conservation is not None
    assert machine.entities[0].conservation.current == 87


def test_a_report_is_written_to_the_file_that_is_named(store: Store, hybrid_sync: Command, tmp_path: Path) -> None:
    weekly(store)
    file = tmp_path / "report.html"

    said = hybrid_sync("report", "weekly-1", "--format", "html", "--output", str(file))

    assert said.out.strip() == str(file)
    assert file.read_text() == hybrid_sync("report", "weekly-1", "--format", "html").out
    assert "87 / 90" in file.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--output", "x.txt"), "choose --format html, md or json"),
        (("--format", "md", "--output", "/nowhere/x.md"), "choose another --output"),
    ],
)
def test_a_report_that_cannot_be_written_is_one_sentence(
    store: Store, hybrid_sync: Command, words: tuple[str, ...], sentence: str
) -> None:
    weekly(store)

    said = hybrid_sync("report", "weekly-1", *words)

    assert said.status == 1
    assert sentence in said.err


def test_a_page_that_is_opened_lies_with_the_stack(
    store: Store, hybrid_sync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    weekly(store)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)

    said = hybrid_sync("report", "weekly-1", "--open")

    [url] = opened
    assert url == Path(said.out.strip()).as_uri()
    assert "<!doctype html>" in Path(said.out.strip()).read_text()


def test_failures_name_keys_and_remedies_and_no_values(store: Store, hybrid_sync: Command) -> None:
    weekly(store)

    said = hybrid_sync("failures")

    assert "17229" in said.out
    assert "stale in target" in said.out
    assert "unique_violation: Find the other row" in said.out


def test_failures_are_narrowed_by_run_and_reason(store: Store, hybrid_sync: Command) -> None:
    weekly(store)
    add_run(store, "weekly-2")
    add_failed(store, 5, "bad_json", first_run="weekly-2")

    of_run = json.loads(hybrid_sync("failures", "weekly-2", "--json").out)
    of_reason = json.loads(hybrid_sync("failures", "--reason", "missing_parent", "--json").out)

    assert [r["key"] for r in of_run] == [[5]]
    assert [r["key"] for r in of_reason] == [[17229]]


def test_resolved_records_are_shown_on_request_only(store: Store, hybrid_sync: Command) -> None:
    add_failed(store, 1, "bad_json", status="resolved")

    assert hybrid_sync("failures").out == "No failed records.\n"
    assert len(json.loads(hybrid_sync("failures", "--all", "--json").out)) == 1


@pytest.mark.parametrize("command", [("report", "nope"), ("status", "nope"), ("failures", "nope")])
def test_an_unknown_run_is_one_sentence(store: Store, hybrid_sync: Command, command: tuple[str, str]) -> None:
    said = hybrid_sync(*command)

    assert said.status == 1
    assert said.out == ""
    remedy = "List the recent ones with: hybrid-sync status, or GET /v1/syncs."
    assert said.err == f"hybrid-sync: There is no run nope. {remedy}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--entity", "nope"), "There is no entity nope in the catalog. Choose from "),
        (("--allow-deletes", "nope"), "There is no entity nope in the catalog. Choose from "),
        (
            ("--entity", "payments", "--allow-deletes", "orders"),
            "The run would not carry orders, of which it allows deletes. Name it among its entities, too.",
        ),
        (("--ref", "payments"), "payments names no legacy row: write entity:key"),
        (("--ref", "payments:x"), "payments:x names no legacy row: write entity:key"),
        (("--ref", "nope:1"), "There is no entity nope in the catalog."),
        (("--ref", "case_messages:1"), "Entity case_messages has several sources. Add source: one of "),
        (("--ref", "case_messages/nope:1"), "Entity case_messages has no source nope."),
        (("--ref", "role_permissions:1"), "A legacy key of role_permissions has 2 part(s), and 1 were given."),
        (("--profile", "weekly", "--ref", "payments:1"), "--ref names single rows, which no weekly run reads"),
        (("--batch-size", "0"), "--batch-size: input should be greater than or equal to 1."),
    ],
)
def test_a_request_that_cannot_be_meant_starts_nothing(
    stack: Stack, hybrid_sync: Command, words: tuple[str, ...], sentence: str
) -> None:
    # The desk has no state machine, so a started run would be another error.
    said = hybrid_sync("sync", *words)

    assert said.status == 1
    assert said.err.startswith(f"hybrid-sync: {sentence}")
    assert said.err.count("\n") == 1


@pytest.fixture
def machine(desk: Desk, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated account with the deployment's state machine in it; its client knows what was started."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("stepfunctions", region_name="us-east-1")
        made = client.create_state_machine(
            name="sync-run",
            definition='{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}}',
            roleArn="arn:aws:iam::123456789012:role/run",
        )
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        with control_table(dynamodb, "control") as table:
            desk.admit_by(RunStarter(made["stateMachineArn"], client), table, dynamodb)
            yield client


def only_request(machine: Any, run_id: str) -> RunRequest:
    """The input with which the one execution that there is was started."""
    [found] = machine.list_state_machines()["stateMachines"]
    [execution] = machine.list_executions(stateMachineArn=found["stateMachineArn"])["executions"]
    assert execution["name"] == run_id
    return RunRequest.model_validate_json(machine.describe_execution(executionArn=execution["executionArn"])["input"])


@pytest.mark.parametrize(
    ("words", "policy"),
    [((), OnFailure.keep), *((("--on-failure", policy.value), policy) for policy in OnFailure)],
)
def test_a_run_is_started_with_the_policy_that_was_asked_for(
    machine: Any, hybrid_sync: Command, words: tuple[str, ...], policy: OnFailure
) -> None:
    said = hybrid_sync("sync", "--entity", "payments", *words, "--no-follow")

    assert (said.status, said.err) == (0, "")
    request = only_request(machine, said.out.strip())
    assert (request.on_failure, request.entities) == (policy, ("payments",))


def test_what_waits_is_listed_with_its_place_and_why_and_can_be_cancelled(machine: Any, hybrid_sync: Command) -> None:
    assert hybrid_sync("pause", "--why", "moving house").out.startswith("Starts are paused; 0 still run, 0 wait.")
    seen = hybrid_sync("sync", "--entity", "payments", "--key", "17", "--dry-run")
    assert seen.out.startswith("It would wait now. Starts are paused: by ")
    run_id = hybrid_sync("sync", "--entity", "payments", "--key", "17", "--no-follow").out.strip()
    [job] = json.loads(hybrid_sync("syncs", "--json").out)["jobs"]
    assert (job["run_id"], job["status"], job["place"]) == (run_id, "waiting", 1)
    assert job["why"].endswith("moving house.")
    assert hybrid_sync("cancel", run_id).out == f"Run {run_id} is cancelled.\n"
    assert hybrid_sync("resume").out == "Runs start again; at once: none, nothing waits.\n"
    assert hybrid_sync("cancel", "nothing").status == 1


def test_a_run_that_was_started_is_cancelled(machine: Any, hybrid_sync: Command) -> None:
    run_id = hybrid_sync("sync", "--entity", "payments", "--no-follow").out.strip()
    assert hybrid_sync("cancel", run_id).out == f"Run {run_id} is cancelled.\n"
    # Listed until the clock has looked after what it may have left at work in the target.
    [job] = json.loads(hybrid_sync("syncs", "--json").out)["jobs"]
    assert (job["run_id"], job["status"]) == (run_id, "cancelled")


def test_a_key_belongs_to_one_entity_and_a_time_to_entities_that_have_one(machine: Any, hybrid_sync: Command) -> None:
    assert "name it with --entity" in hybrid_sync("sync", "--key", "17").err
    said = hybrid_sync("sync", "--entity", "offices", "--since", "2026-11-01", "--no-follow")
    assert "has no time of change to select by" in said.err
    run_id = hybrid_sync("sync", "--entity", "orders", "--since", "2026-11-01", "--no-follow").out.strip()
    assert only_request(machine, run_id).since == "2026-11-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--entity", "orders", "--since", "2026-11-02", "--until", "2026-11-01"), "Since must be earlier than until"),
        (("--entity", "orders", "--since", "2026-11-02", "--until", "2026-11-02"), "Since must be earlier than until"),
        (("--profile", "weekly", "--entity", "orders", "--since", "2026-11-01"), "a weekly run takes all of them"),
        (("--until", "2026-11-01"), "none is named"),
    ],
    ids=["backwards", "of no length", "of a weekly run", "of nothing"],
)
def test_a_time_that_selects_nothing_is_refused_before_anything_starts(
    machine: Any, hybrid_sync: Command, given: tuple[str, ...], said: str
) -> None:
    answer = hybrid_sync("sync", *given, "--no-follow")
    assert (answer.status, answer.out) == (1, "") and said in answer.err


def test_an_unknown_policy_is_refused_in_one_sentence_and_starts_nothing(machine: Any, hybrid_sync: Command) -> None:
    said = hybrid_sync("sync", "--on-failure", "undo")

    assert said.status == 2
    assert said.err.splitlines()[-1] == (
        "Error: Invalid value for '--on-failure': 'undo' is not one of 'keep', 'hold', 'rollback'."
    )
    [found] = machine.list_state_machines()["stateMachines"]
    assert machine.list_executions(stateMachineArn=found["stateMachineArn"])["executions"] == []


@pytest.mark.parametrize("command", ["sync", "status", "report x", "failures", "install"])
def test_without_a_stack_every_command_says_how_to_get_one(hybrid_sync: Command, command: str) -> None:
    said = hybrid_sync(*command.split())

    assert (said.status, said.err) == (
        1,
        "hybrid-sync: No stack is running here: run hybrid-sync up, or name a deployment with --stack.\n",
    )


def test_a_target_without_the_engines_schema_is_one_sentence(stack: Stack, hybrid_sync: Command) -> None:
    said = hybrid_sync("status")

    assert said.status == 1
    assert said.err.endswith("create it with hybrid-sync install.\n")
