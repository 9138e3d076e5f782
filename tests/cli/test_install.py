"""`install` prepares a target and fills a deployment's secret, without printing what is secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.cli.conftest import Command
from tests.conftest import PASSWORD


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Secrets Manager in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager")


def test_the_functions_dsns_go_into_the_secret_and_the_rest_of_it_stays(
    hybrid_sync: Command, secrets: Any, target_db: str
) -> None:
    # A worker that is at work keeps its password.
    held = {"id_secret": "keep me", "target_dsn": make_conninfo(target_db, user="x", password=PASSWORD)}
    arn = secrets.create_secret(Name="connections", SecretString=json.dumps(held))["ARN"]
    legacy = "postgresql://reader:pw@legacy.example.com/app"

    said = hybrid_sync("install", "--target-dsn", target_db, "--legacy-dsn", legacy, "--secret", arn)

    assert said.status == 0, said.err
    assert PASSWORD not in said.out + said.err
    filled = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert (filled["id_secret"], filled["legacy_dsn"]) == ("keep me", legacy)
    worker = conninfo_to_dict(filled["target_dsn"])
    assert (worker["user"], worker["password"]) == ("hybrid_sync_worker", PASSWORD)
    with psycopg.connect(filled["target_dsn"]) as connection:
        assert connection.execute("select count(*) from hybrid_sync.run").fetchone() == (0,)


def test_a_secret_that_is_not_there_leaves_the_target_alone(hybrid_sync: Command, secrets: Any, target_db: str) -> None:
    said = hybrid_sync("install", "--target-dsn", target_db, "--secret", "nowhere")

    assert said.status == 1
    assert said.err.startswith("hybrid-sync: The secret cannot be read (ResourceNotFoundException): check --secret")
    with psycopg.connect(target_db) as connection:
        assert connection.execute("select to_regnamespace('hybrid_sync')").fetchone() == (None,)


def test_a_secret_without_a_target_is_one_sentence(hybrid_sync: Command) -> None:
    said = hybrid_sync("install", "--secret", "connections")

    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "--target-dsn" in said.err
