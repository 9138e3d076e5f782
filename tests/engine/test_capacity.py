"""Capacity is somebody else's: what is used up is waited for, and costs no attempt."""

from __future__ import annotations

import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from hybrid_sync.aws import refusals
from hybrid_sync.entrypoint import name_of
from hybrid_sync.errors import AwsThrottled, ThrottledError, TooManyConnections, TransientError
from hybrid_sync.postgres import connect
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery, Execution
from tests.flow.conduct import conduct, raised


def test_a_server_without_a_connection_left_is_waited_for(target_db: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(target_db)["dbname"]
    with psycopg.connect(target_db, autocommit=True) as admin:
        admin.execute(sql.SQL("create role narrow login password 'x' connection limit 0"))
        admin.execute(sql.SQL("grant connect on database {} to narrow").format(sql.Identifier(str(name))))
        try:
            with pytest.raises(TooManyConnections, match="lower TargetConnections") as caught:
                connect(psycopg.conninfo.make_conninfo(target_db, user="narrow", password="x"), "target")
        finally:
            admin.execute(sql.SQL("revoke connect on database {} from narrow").format(sql.Identifier(str(name))))
            admin.execute(sql.SQL("drop role narrow"))
    assert name_of(caught.value) is ThrottledError


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException", "SlowDown"])
def test_a_throttled_request_is_waited_for(code: str) -> None:
    with pytest.raises(AwsThrottled), refusals("the table"):
        raise ClientError({"Error": {"Code": code}}, "BatchGetItem")


def test_waiting_for_capacity_uses_up_no_attempt() -> None:
    """Eight refusals for want of capacity, then two failures: the third attempt of three still comes."""
    refused = [raised(ThrottledError.__name__, "full")] * 8 + [raised(TransientError.__name__, "away")] * 2
    seen: list[str] = []

    def deliver(delivery: Delivery) -> object:
        seen.append(delivery.state)
        if delivery.state == "PlanRun" and refused:
            raise refused.pop(0)
        return {"run_id": "r", "profile": "daily", "waves": [], "entities": [], "more": False, "settled": 0,
                "status": "succeeded", "report": "", "summary": {}}  # fmt: skip

    conduct(Execution(flow(), "r", {"profile": "daily"}, lambda bucket, key: []), deliver)
    assert seen.count("PlanRun") == 11
    assert seen[-1] == "ReportRun"
