"""What `up` makes is the template as it is, with what the functions need filled in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.check.model import Severity
from hybrid_sync_cli.checking import checked
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.progress import PAUSE
from hybrid_sync_cli.stack import Stack
from tests.stack.world import fill


def test_the_secret_holds_what_the_functions_connect_with(deployed: Stack) -> None:
    answer = deployed.client("secretsmanager").get_secret_value(SecretId=deployed.outputs["ConnectionSecret"])
    values = json.loads(answer["SecretString"])
    assert values["legacy_dsn"] == deployed.worker_legacy_dsn
    ours, theirs = conninfo_to_dict(deployed.worker_target_dsn), conninfo_to_dict(values["target_dsn"])
    ca = Path(str(ours.pop("sslrootcert"))).read_text("utf-8")
    theirs.pop("sslrootcert", None)  # the functions trust the secret's CA, whatever their DSN says
    assert (theirs, values["target_ca"]) == (ours, ca)
    assert len(values["id_secret"]) >= 32


def test_the_functions_role_can_only_read_legacy(deployed: Stack) -> None:
    with psycopg.connect(deployed.legacy_dsn, autocommit=True) as owner:
        owner.execute("create table made_after_up as select 1 as n")
        with psycopg.connect(deployed.worker_legacy_dsn, autocommit=True) as reader:
            assert reader.execute("select n from made_after_up").fetchone() == (1,)
            reader.execute("set default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("insert into made_after_up values (2)")
        owner.execute("drop table made_after_up")


def test_the_functions_role_is_not_the_targets_admin(deployed: Stack) -> None:
    with psycopg.connect(deployed.worker_target_dsn) as worker:
        assert worker.execute("select current_user").fetchone() == ("hybrid_sync_worker",)


def test_functions_run_on_this_machines_python(deployed: Stack) -> None:
    from hybrid_sync_cli.stack.deploy import Host

    listed = deployed.client("lambda").list_functions()["Functions"]
    assert {function["Runtime"] for function in listed} == {f"python{Host.this().python}"}


def test_other_commands_find_the_stack(deployed: Stack) -> None:
    assert Stack.load() == deployed
    assert deployed.api_url.startswith(deployed.aws_endpoint_url)


@pytest.fixture
def column_renamed(deployed: Stack) -> Iterator[None]:
    """Legacy has moved on: a mapped column has another name."""
    fill(deployed)
    rename = "alter table dispatch_payment rename column {} to {}"
    with psycopg.connect(deployed.legacy_dsn, autocommit=True) as owner:
        owner.execute(rename.format("paid_price", "price_paid"))
        yield
        owner.execute(rename.format("price_paid", "paid_price"))


def test_a_check_runs_inside_and_lists_what_the_databases_lack(deployed: Stack, column_renamed: None) -> None:
    found = checked(Deployment.here(deployed), disk_gb=100)
    assert not found.passed
    assert {f.code for f in found.findings if f.severity is Severity.error} == {"structure_mismatch"}
    # Every part of the stack let itself be asked, with the rights that the template gives.
    assert {f.code for f in found.findings} >= {"reached", "queue", "quota", "disk"}
    assert not {"could_not_look", "not_looked", "part_missing"} & {f.code for f in found.findings}
    body = (
        deployed.client("s3")
        .get_object(Bucket=deployed.outputs["DataBucket"], Key=f"reports/{found.check_id}.json")["Body"]
        .read()
    )
    assert len(json.loads(body)["findings"]) == len(found.findings) + found.left_out


def test_a_scheduled_run_does_not_begin_before_a_check_has_passed(deployed: Stack) -> None:
    with psycopg.connect(deployed.target_dsn) as owner:
        owner.execute("delete from hybrid_sync.deployment_check")
    request = json.dumps({"profile": "weekly", "trigger": "schedule"})
    client = deployed.client("stepfunctions")
    machine = deployed.outputs["StateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, name="weekly-too-early", input=request)["executionArn"]
    while (now := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(PAUSE)
    assert now["error"] == "not_checked" and "hybrid-sync check" in now["cause"]
