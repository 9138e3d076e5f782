"""AWS twice: moto in this process and ministack beside it; what both say alike is likely what AWS says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.processes import Processes
from tests.contract import accounts


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator for all tests that ask."""
    ensure_environments(home.project_root())
    running = Aws(Processes(tmp_path_factory.mktemp("aws")))
    running.start(home.project_root() / ".venv-stack" / "bin" / "python", None)
    yield running.endpoint
    running.stop()


@pytest.fixture(params=accounts.KINDS)
def aws(request: pytest.FixtureRequest) -> Iterator[None]:
    """An account in which this test's resources are the only ones of their names."""
    with accounts.account(request.param, lambda: str(request.getfixturevalue("ministack"))):
        yield


@pytest.fixture
def dynamodb(aws: None) -> Iterator[Any]:
    with accounts.id_table() as client:
        yield client


@pytest.fixture
def s3(aws: None) -> Iterator[Any]:
    with accounts.data_bucket() as client:
        yield client


@pytest.fixture
def sqs(aws: None) -> Any:
    return boto3.client("sqs")


@pytest.fixture
def queue_url(sqs: Any) -> Iterator[str]:
    """The queue `failed`."""
    url = str(sqs.create_queue(QueueName="failed", Attributes={"VisibilityTimeout": "30"})["QueueUrl"])
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def stepfunctions(aws: None) -> Any:
    return boto3.client("stepfunctions")


@pytest.fixture
def machine(stepfunctions: Any) -> Iterator[str]:
    """A state machine whose executions run until they are stopped."""
    made = stepfunctions.create_state_machine(
        name="sync-run",
        definition='{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/run",
    )
    arn = str(made["stateMachineArn"])
    yield arn
    for execution in stepfunctions.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
        stepfunctions.stop_execution(executionArn=execution["executionArn"])
    stepfunctions.delete_state_machine(stateMachineArn=arn)
