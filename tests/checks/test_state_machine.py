"""The state machine is well-formed, handles every error, and its checker has teeth."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_sync.contracts import EntityTask, PlannedRun, Profile
from hybrid_sync.failures.cause import UNCAUGHT
from hybrid_sync.runs.starter import MOST_BYTES
from hybrid_sync.steps.count_entity import PATIENCE
from hybrid_sync_cli.emulator.quotas import BY_NAME_ONLY, STATE_BYTES
from hybrid_sync_cli.flow import execution
from tests.checks import asl, templates

TEMPLATE = templates.load()
MACHINE = templates.resources(TEMPLATE, "AWS::Serverless::StateMachine")["SyncRun"]
TEXT = asl.STATE_MACHINE.read_text("utf-8")
NUMBERS = {
    "EntityConcurrency": "3", "BatchConcurrency": "4", "Retries": "2", "RetriesOfAway": "720", "RetryDelaySeconds": "20"
}  # fmt: skip
NUMBERS |= {"Partition": "aws", "StepPatience": "930", "BatchPatience": "330"}
LONGEST_CAUSE = 32_768  # of a failure, as the API of Step Functions has it
SUBSTITUTIONS = {name: NUMBERS.get(name, f"arn-of-{name}") for name in MACHINE["DefinitionSubstitutions"]}


def definition() -> dict[str, Any]:
    return asl.load(TEXT, SUBSTITUTIONS)


def test_the_definition_has_no_problem() -> None:
    assert asl.problems(definition()) == []


def test_the_template_names_this_definition() -> None:
    assert MACHINE["DefinitionUri"] == str(asl.STATE_MACHINE)


def test_every_placeholder_is_substituted_and_every_substitution_used() -> None:
    assert set(asl.PLACEHOLDER.findall(TEXT)) == set(MACHINE["DefinitionSubstitutions"])


def test_it_uses_no_anchors_because_cloudformation_documents_none() -> None:
    code = "\n".join(line.partition(" #")[0] for line in TEXT.splitlines() if not line.strip().startswith("#"))
    assert not [word for word in code.split() if word[0] in "&*"]


def test_every_task_invokes_a_function_that_exists_and_waits_longer_than_it_may_run() -> None:
    functions = templates.functions(TEMPLATE)
    usual = TEMPLATE["Globals"]["Function"]["Timeout"]
    patient = {"StepSeconds": "StepPatience", "BatchSeconds": "BatchPatience"}
    for name, state in asl.tasks(
        asl.load(TEXT, {**SUBSTITUTIONS, "StepPatience": "'Step'", "BatchPatience": "'Batch'"})
    ):
        placeholder = state["Parameters"]["FunctionName"].removeprefix("arn-of-")
        target = MACHINE["DefinitionSubstitutions"][placeholder]["Ref"].removesuffix(".Version")
        limit = functions[target].get("Timeout", usual)
        if isinstance(limit, dict):
            assert state["TimeoutSeconds"] == patient[limit["Ref"]].removesuffix("Patience"), name
        else:
            assert state["TimeoutSeconds"] > limit, name
    for seconds, waits in TEMPLATE["Mappings"]["PatienceOf"].items():
        assert waits["Task"] > int(seconds)
    for parameter, patience in patient.items():
        assert MACHINE["DefinitionSubstitutions"][patience] == {
            "Fn::FindInMap": ["PatienceOf", {"Ref": parameter}, "Task"]
        }
        assert set(TEMPLATE["Parameters"][parameter]["AllowedValues"]) <= set(TEMPLATE["Mappings"]["PatienceOf"])


def test_a_verification_hands_over_long_before_its_function_ends() -> None:
    shortest = min(map(int, TEMPLATE["Parameters"]["StepSeconds"]["AllowedValues"]))
    longest = TEMPLATE["Parameters"]["StatementSeconds"]["MaxValue"]
    assert PATIENCE + longest <= shortest


def test_no_task_lets_a_result_of_unknown_size_into_the_state() -> None:
    for name, state in asl.tasks(definition()):
        kept = state.get("OutputPath", "$")
        selected = "ResultSelector" in state
        planned = name in ("PlanRun", "PlanEntity", "ReportRun", "SyncKeys", "CheckDeployment")
        assert kept is None or selected or planned, name


def test_whoever_speaks_of_what_no_catch_sees_names_the_same_errors() -> None:
    assert set(UNCAUGHT) == BY_NAME_ONLY == execution.UNCAUGHT
    named = {name for _, state in asl.tasks(definition()) for c in state["Catch"] for name in c["ErrorEquals"]}
    assert not named & BY_NAME_ONLY, "an execution that meets one ends: the clock reports it"


def test_the_largest_plan_fits_into_a_state_beside_the_longest_cause() -> None:
    tasks = tuple(EntityTask(run_id="r" * 80, entity=f"{n:063}") for n in range(300))
    plan = PlannedRun(run_id="r" * 80, profile=Profile.weekly, waves=(tasks,), entities=tasks)
    assert len(plan.model_dump_json()) + LONGEST_CAUSE < STATE_BYTES


def test_a_request_has_room_in_every_state_that_carries_it() -> None:
    """With its name, beside it what was caught, and as the answer of the function that hands it back."""
    assert 1.02 * MOST_BYTES + LONGEST_CAUSE < STATE_BYTES


def test_the_results_of_every_map_are_dropped() -> None:
    maps = [s for m in asl.machines(definition()) for s in m.states.values() if s["Type"] == "Map"]
    assert len(maps) == 7
    assert all(state["ResultPath"] is None for state in maps)


def test_batches_run_as_a_distributed_map_that_tolerates_failed_batches() -> None:
    [batches] = [s for m in asl.machines(definition()) for n, s in m.states.items() if n == "Batches"]
    assert batches["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert batches["ToleratedFailurePercentage"] == 100
    assert batches["MaxConcurrency"] == 4


def test_every_way_through_the_run_ends_with_a_report() -> None:
    """Take the report away, and no end of a run can be reached but the one that says so; a check is no run."""
    states = definition()["States"]
    ends = {name for name, state in states.items() if state["Type"] in ("Succeed", "Fail") or state.get("End")}
    reached: set[str] = set()
    waiting = [definition()["StartAt"]]
    while waiting:
        name = waiting.pop()
        # A run of a few keys is reported by the function that carries it, and its outcome is the report's.
        if name not in ("ReportRun", "TakeOutcome", "CheckDeployment") and name not in reached:
            reached.add(name)
            waiting += asl.successors(states[name])
    assert reached & ends == set()


Mutation = Callable[[dict[str, Any]], Any]


def _entity(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["States"]["Waves"]["ItemProcessor"]["States"]["Entities"]["ItemProcessor"]["States"]
    return found


def _batch(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _entity(d)["Batches"]["ItemProcessor"]["States"]
    return found


MUTANTS: dict[str, Mutation] = {
    "StartAt names nothing": lambda d: d.update(StartAt="Plan"),
    "a map starts at nothing": lambda d: d["States"]["Waves"]["ItemProcessor"].update(StartAt="Nothing"),
    "Next names nothing": lambda d: d["States"]["PlanRun"].update(Next="Wave"),
    "Next leaves its map": lambda d: _entity(d)["RecordPlanFailure"].update(Next="ReportRun"),
    "a Catch names nothing": lambda d: d["States"]["PlanRun"]["Catch"][0].update(Next="Describe"),
    "a Choice names nothing": lambda d: _entity(d)["AnyBatches"]["Choices"][0].update(Next="Batch"),
    "a Default names nothing": lambda d: d["States"]["KeptItsPromises"].update(Default="Failed"),
    "a state that nothing leads to": lambda d: d["States"].update(Lost={"Type": "Succeed"}),
    "a loop without an end": lambda d: d["States"]["KeptItsPromises"].update(
        Choices=[{"Variable": "$.status", "StringEquals": "succeeded", "Next": "ReportRun"}],
        Default="ReportRun",
    ),
    "neither Next nor End": lambda d: _batch(d)["SyncBatch"].pop("End"),
    "both Next and End": lambda d: d["States"]["PlanRun"].update(End=True),
    "an unknown type": lambda d: d["States"]["DescribeEnd"].update(Type="Pas"),
    "an unknown field": lambda d: d["States"]["PlanRun"].update(Retries=3),
    "a task without a time limit": lambda d: _batch(d)["SyncBatch"].pop("TimeoutSeconds"),
    "a task without Retry": lambda d: d["States"]["LinkReferences"].pop("Retry"),
    "a task without Catch": lambda d: _entity(d)["PlanEntity"].pop("Catch"),
    "a retry without jitter": lambda d: d["States"]["ReportRun"]["Retry"][0].pop("JitterStrategy"),
    "a misspelt error to retry": lambda d: _batch(d)["SyncBatch"]["Retry"][0]["ErrorEquals"].append("Transient"),
    "TransientError forgotten": lambda d: _batch(d)["SyncBatch"]["Retry"][1]["ErrorEquals"].remove("TransientError"),
    "a Catch of one error only": lambda d: _batch(d)["SyncBatch"]["Catch"][0].update(ErrorEquals=["PermanentError"]),
    "a Catch that drops the input": lambda d: _entity(d)["PlanEntity"]["Catch"][0].pop("ResultPath"),
    "a map of the run without Catch": lambda d: d["States"]["VerifyEntities"].pop("Catch"),
    "a number that is a text": lambda d: _entity(d)["Batches"].update(MaxConcurrency="4"),
    "two states of one name": lambda d: _batch(d).update(EntityDone=_batch(d).pop("BatchDone")),
    "a path that is none": lambda d: d["States"]["Waves"].update(ItemsPath="waves"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_checker_finds(mutant: str) -> None:
    broken = copy.deepcopy(definition())
    MUTANTS[mutant](broken)
    assert broken != definition()
    assert asl.problems(broken) != []
