"""Misconfigured parts in AWS, as its clients tell of them: a check finds each and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import psycopg
import pytest
from botocore.exceptions import ClientError

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.check.model import Severity, StartedCheck
from hybrid_sync.settings import Settings
from hybrid_sync.steps.check_deployment import check_deployment
from hybrid_sync.wiring import DeployedWorld
from tests.check.conftest import CATALOG, Pair
from tests.check.test_databases import HEALTHY

NAMES = {
    "HYBRID_SYNC_SECRET": "secret", "ID_MAP_TABLE": "ids", "DATA_BUCKET": "bucket", "FAILED_QUEUE_URL": "queue",
    "ALERT_TOPIC": "topic", "STATE_MACHINE": "machine", "TARGET_CONNECTIONS": "15", "ID_SECRET": "ids-secret",
    "CONTROL_TABLE": "control",
}  # fmt: skip


@dataclass
class Cloud:
    """AWS behind its clients: what each call answers, or with which code it is refused."""

    answers: dict[str, Any]
    refused: dict[str, str] = field(default_factory=dict)
    exceptions: ClassVar[Any] = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __call__(self, service: str) -> Cloud:
        return self

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def answer(**asked: Any) -> Any:
            if call in self.refused:
                raise ClientError({"Error": {"Code": self.refused[call]}}, call)
            return self.answers[call]

        return answer


def healthy(pair: Pair) -> Cloud:
    secret = {"legacy_dsn": pair.world.legacy_dsn, "target_dsn": pair.world.target_dsn, "id_secret": "a secret"}
    return Cloud({
        "get_secret_value": {"SecretString": json.dumps(secret)}, "batch_get_item": {"Responses": {}},
        "get_item": {}, "update_item": {},
        "get_queue_attributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
        "get_topic_attributes": {"Attributes": {"SubscriptionsConfirmed": "1", "SubscriptionsPending": "0"}},
        "describe_state_machine": {"status": "ACTIVE"}, "head_bucket": {}, "put_object": {},
        "get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 900}},
    })  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """One misconfiguration, and what a check is to say of it."""

    name: str
    code: str
    says: str
    answers: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    severity: Severity = Severity.error


ANY = Severity.warning
PLANTED = [
    Planted("a quota of ten", "small_quota", "Service Quotas", severity=ANY,
            answers={"get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 10}}}),
    Planted("a quota that we may not see", "part_missing", "Compare the function's policy", severity=ANY,
            refused={"get_account_settings": "AccessDeniedException"}),
    Planted("an empty secret", "configuration_missing", "put-secret-value",
            answers={"get_secret_value": {"SecretString": "{}"}}),
    Planted("a secret that is denied", "configuration_missing", "Compare the function's policy",
            refused={"get_secret_value": "AccessDeniedException"}),
    Planted("a mail that nobody confirmed", "nobody_told", "Open the link", severity=ANY,
            answers={"get_topic_attributes": {"Attributes": {"SubscriptionsPending": "1"}}}),
    Planted("no topic", "part_missing", "Alert topic", refused={"get_topic_attributes": "NotFound"}),
    Planted("a bucket that is denied", "part_missing", "data bucket", refused={"head_bucket": "403"}),
    Planted("a report that is denied", "not_stored", "data bucket", refused={"put_object": "AccessDenied"}),
    Planted("no id map", "part_missing", "Id map table", refused={"batch_get_item": "ResourceNotFoundException"}),
    Planted("no queue", "part_missing", "Queue of failed records",
            refused={"get_queue_attributes": "AWS.SimpleQueueService.NonExistentQueue"}),
    Planted("no state machine", "part_missing", "State machine",
            refused={"describe_state_machine": "StateMachineDoesNotExist"}),
    Planted("a service that throttles", "could_not_look", "id_map", severity=ANY,
            refused={"batch_get_item": "ThrottlingException"}),
]  # fmt: skip


def checked(pair: Pair, cloud: Cloud) -> Any:
    world = DeployedWorld(Settings.from_environment(NAMES), cloud)
    world.__dict__["catalog"] = CATALOG
    return check_deployment(world, StartedCheck(check_id="check-1", request=CheckRequest()), HEALTHY)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_misconfiguration_is_found_with_its_remedy(planted: Planted, shared_pair: Pair) -> None:
    cloud = healthy(shared_pair)
    cloud.answers |= planted.answers
    cloud.refused |= planted.refused
    outcome = checked(shared_pair, cloud)
    found = [f for f in outcome.findings if f.severity is not Severity.note]
    assert {(f.code, f.severity) for f in found} == {(planted.code, planted.severity)}
    assert any(planted.says in f"{f.evidence} {f.remedy}" and f.remedy for f in found), found


def test_a_healthy_deployment_is_found_healthy(shared_pair: Pair) -> None:
    outcome = checked(shared_pair, healthy(shared_pair))
    assert [f for f in outcome.findings if f.severity is not Severity.note] == []
    assert outcome.passed and outcome.report.startswith("s3://bucket/")


def test_an_id_secret_that_is_not_the_targets_is_found(shared_pair: Pair) -> None:
    with psycopg.connect(shared_pair.target, autocommit=True) as target:
        target.execute("insert into hybrid_sync.id_secret (fingerprint) values ('of another one')")
        try:
            findings = checked(shared_pair, healthy(shared_pair)).findings
        finally:
            target.execute("delete from hybrid_sync.id_secret")
    [found] = [f for f in findings if f.code == "configuration_missing"]
    assert "--restore-secret" in found.remedy
