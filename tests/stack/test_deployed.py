"""What `up` makes is the template as it is, with what the functions need filled in."""

from __future__ import annotations

import json

import psycopg
import pytest

from hybrid_sync_cli.stack import Stack


def test_the_secret_holds_what_the_functions_connect_with(deployed: Stack) -> None:
    answer = deployed.client("secretsmanager").get_secret_value(SecretId=deployed.outputs["ConnectionSecret"])
    values = json.loads(answer["SecretString"])
    assert values["legacy_dsn"] == deployed.worker_legacy_dsn
    assert values["target_dsn"] == deployed.worker_target_dsn
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
