"""Starting runs through Step Functions: one name, one run; and how it goes in our words."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.contracts import Profile, Ref, RunRequest
from hybrid_sync.errors import ConfigurationMissing, RequestRejected, RunNotFound
from hybrid_sync.runs.starter import RunStarter

REQUEST = RunRequest(entities=("orders",), trigger="api")


def test_a_run_is_called_as_asked_and_is_running(stepfunctions: Any, machine: str) -> None:
    starter = RunStarter(machine, stepfunctions)
    starter.begin(REQUEST, "api-1")
    state = starter.state("api-1")
    assert (state.run_id, state.status, state.finished_at) == ("api-1", "running", None)


def test_a_name_starts_once_whether_the_run_is_at_work_or_has_ended(stepfunctions: Any, machine: str) -> None:
    starter = RunStarter(machine, stepfunctions)
    starter.begin(REQUEST, "api-1")
    starter.begin(REQUEST, "api-1")
    assert starter.stop("api-1")
    starter.begin(REQUEST, "api-1")
    assert starter.status("api-1") == "cancelled"
    assert len(stepfunctions.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_a_request_that_no_state_could_carry_is_refused_before_it_starts(stepfunctions: Any, machine: str) -> None:
    keys = tuple(Ref(entity="orders", legacy_id=(2**60,) * 30) for _ in range(500))
    with pytest.raises(RequestRejected, match="200,000"):
        RunStarter(machine, stepfunctions).begin(RunRequest(profile=Profile.on_demand, refs=keys), "api-1")
    with pytest.raises(RunNotFound):
        RunStarter(machine, stepfunctions).state("api-1")


def test_only_an_execution_that_failed_has_a_failure(stepfunctions: Any, machine: str) -> None:
    starter = RunStarter(machine, stepfunctions)
    starter.begin(REQUEST, "api-1")
    assert (starter.failure("api-1"), starter.failure("nobody")) == (None, None)
    starter.stop("api-1")
    assert starter.failure("api-1") is None


def test_stopping_what_nobody_has_started_says_so(stepfunctions: Any, machine: str) -> None:
    assert not RunStarter(machine, stepfunctions).stop("api-1")


def test_a_stopped_run_is_cancelled_and_has_an_end(stepfunctions: Any, machine: str) -> None:
    starter = RunStarter(machine, stepfunctions)
    starter.begin(REQUEST, "api-1")
    starter.stop("api-1")
    state = starter.state("api-1")
    assert state.status == "cancelled"
    assert state.finished_at is not None


def test_an_unknown_run_is_not_found(stepfunctions: Any, machine: str) -> None:
    with pytest.raises(RunNotFound):
        RunStarter(machine, stepfunctions).state("api-1")


def test_an_unknown_machine_is_told_in_a_sentence(stepfunctions: Any, machine: str) -> None:
    with pytest.raises(ConfigurationMissing, match="state machine"):
        RunStarter(machine + "x", stepfunctions).begin(REQUEST, "api-1")
