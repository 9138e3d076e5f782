"""Functions on the emulator fail, stay warm and see their surroundings as on AWS, with either runtime client."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from hybrid_sync_cli.stack import deploy
from hybrid_sync_cli.stack.aws import LAUNCHER, Aws
from hybrid_sync_cli.stack.deploy import Host
from hybrid_sync_cli.stack.processes import Processes
from tests.stack.emulated import stack_python, zipped

HANDLER = """
import os, sys, time
import from_layer, shadowed

class TransientError(Exception):
    pass

def handler(event, context):
    if event.get("fail"):
        raise TransientError("later")
    if event.get("exit"):
        os._exit(3)
    time.sleep(event.get("seconds", 0))
    return {
        "pid": os.getpid(), "layer": from_layer.NAME, "shadowed": shadowed.NAME,
        "request": context.aws_request_id, "function": context.function_name,
        "niceness": os.nice(0), "left": context.get_remaining_time_in_millis(),
        "client": sys.modules["runtime_client"].__file__,
        "environment": {name: os.environ.get(name) for name in (
            "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_LOG_GROUP_NAME")},
    }
"""
MACHINE = """
Comment: written in YAML
StartAt: Only
States:
  Only: {Type: Pass, Result: done, End: true}
"""


@pytest.fixture(scope="module", params=["compiled", "pure"])
def aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The emulator with a function `work`, its environments talking through that runtime client."""
    running = Aws(Processes(tmp_path_factory.mktemp("aws")))
    request.addfinalizer(running.stop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_SYNC_LAMBDA_CONCURRENCY", "2")
        if request.param == "pure":
            patch.setenv("HYBRID_SYNC_PURE_RUNTIME_CLIENT", "1")
        running.start(stack_python(), None)
    lambdas = deploy.client("lambda", running.endpoint)
    layers = [
        {"python/from_layer.py": "NAME = 'first'", "python/shadowed.py": "NAME = 'layer'"},
        {"python/from_layer.py": "NAME = 'second'"},
    ]
    lambdas.create_function(
        FunctionName="work",
        Runtime=f"python{Host.this().python}",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Code={"ZipFile": zipped({"app.py": HANDLER, "shadowed.py": "NAME = 'code'"})},
        Layers=[
            lambdas.publish_layer_version(LayerName=f"layer{n}", Content={"ZipFile": zipped(files)})["LayerVersionArn"]
            for n, files in enumerate(layers)
        ],
        Timeout=20,
        MemorySize=256,
    )
    running.compiled = request.param == "compiled"  # type: ignore[attr-defined]
    yield running


def invoke(aws: Aws, **event: Any) -> tuple[str | None, dict[str, Any]]:
    """The function's error, as the Lambda API tells it, and its answer."""
    answer = deploy.client("lambda", aws.endpoint).invoke(FunctionName="work", Payload=json.dumps(event).encode())
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_an_exception_keeps_its_name(aws: Aws) -> None:
    error, answer = invoke(aws, fail=True)
    assert error == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("TransientError", "later")


def test_an_environment_stays_warm_after_an_error(aws: Aws) -> None:
    before = invoke(aws)[1]
    assert "pid" in before, before
    before = before["pid"]
    invoke(aws, fail=True)
    assert invoke(aws)[1]["pid"] == before


def test_a_dead_environment_is_replaced(aws: Aws) -> None:
    error, answer = invoke(aws, exit=True)
    assert error is not None
    assert answer["errorType"] == "Runtime.ExitError"
    assert invoke(aws)[0] is None


def test_code_comes_before_layers_and_layers_in_their_order(aws: Aws) -> None:
    _, answer = invoke(aws)
    assert (answer["shadowed"], answer["layer"]) == ("code", "first")


def test_a_function_sees_what_it_would_see_on_aws(aws: Aws) -> None:
    _, answer = invoke(aws)
    assert answer["environment"] == {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": answer["environment"]["AWS_ACCESS_KEY_ID"],
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/work",
    }
    assert answer["environment"]["AWS_ACCESS_KEY_ID"]
    assert answer["function"] == "work"
    assert 0 < answer["left"] <= 20_000
    assert answer["request"]


def test_the_chosen_runtime_client_is_in_use(aws: Aws) -> None:
    _, answer = invoke(aws)
    assert answer["client"].endswith(".py") is not aws.compiled  # type: ignore[attr-defined]


def test_a_worker_gives_way_to_those_of_functions_with_more_memory(aws: Aws) -> None:
    server = aws.processes.recorded("aws")
    assert server is not None
    assert invoke(aws)[1]["niceness"] == min(19, server.nice() + 9)
    assert launcher("print(*map(launcher['niceness'], (128, 512, 1769, 3008)))") == "12 6 0 0"


def test_invocations_of_one_function_take_turns(aws: Aws) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: invoke(aws, seconds=0.05), range(6)))
    assert all(error is None for error, _ in answers)
    assert len({answer["pid"] for _, answer in answers}) <= 2


def test_it_listens_on_the_loopback_address_alone(aws: Aws) -> None:
    server = aws.processes.recorded("aws")
    assert server is not None
    sockets = [c for p in [server, *server.children(recursive=True)] for c in p.net_connections("inet")]
    assert {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_a_state_machine_may_be_written_in_yaml(aws: Aws) -> None:
    template = {
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": "yaml",
                    "DefinitionString": MACHINE,
                    "RoleArn": "arn:aws:iam::000000000000:role/any",
                },
            }
        },
        "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}},
    }
    stacks, machines = (deploy.client(name, aws.endpoint) for name in ("cloudformation", "stepfunctions"))
    stacks.create_stack(StackName="yaml", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="yaml", WaiterConfig={"Delay": 1})
    arn = stacks.describe_stacks(StackName="yaml")["Stacks"][0]["Outputs"][0]["OutputValue"]
    run = machines.start_execution(stateMachineArn=arn)["executionArn"]
    while (state := machines.describe_execution(executionArn=run))["status"] == "RUNNING":
        time.sleep(0.02)
    assert json.loads(state["output"]) == "done"


def launcher(program: str) -> str:
    """What a program prints that has the launcher as `launcher`, in the emulator's environment."""
    load = "import runpy; launcher = runpy.run_path(__import__('sys').argv[1]);"
    done = subprocess.run(
        [stack_python(), "-P", "-c", load + program, LAUNCHER], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_every_private_name_that_is_replaced_exists_in_this_ministack() -> None:
    assert launcher("print(launcher['check']())") == "[]"


def test_a_private_name_that_is_gone_is_told() -> None:
    gone = "del launcher['lambda_svc']._provided_worker_env; print(launcher['check']())"
    assert "_provided_worker_env" in launcher(gone)
