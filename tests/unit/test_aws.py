"""What every request to AWS says of its sender, and what becomes of AWS's refusals."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import __version__
from botocore.exceptions import ClientError
from moto import mock_aws

from hybrid_sync.aws import client, refusals
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing


def test_requests_name_us_and_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEFAULT_REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    heard: list[str] = []

    def sent(request: Any, **more: Any) -> None:
        heard.append(request.headers["User-Agent"].decode())

    with mock_aws():
        queues = client("sqs")
        queues.meta.events.register_first("before-send.sqs", sent)
        queues.list_queues()
    [said] = heard
    assert said.startswith(f"hybrid-sync Botocore/{__version__}")


@pytest.mark.parametrize(
    "code",
    [
        "KMS.DisabledException", "KMS.KMSInvalidStateException", "KMSDisabled", "KMSAccessDeniedException",
        "KmsAccessDenied", "KmsInvalidStateException", "DecryptionFailure", "EncryptionFailure",
    ],
)  # fmt: skip
def test_a_key_that_fails_a_service_is_for_a_person_to_mend_and_named(code: str) -> None:
    """As S3, SNS, SQS, Step Functions and Secrets Manager say it: no attempt helps."""
    said = r"the key that encrypts the data bucket .* Look at that key in KMS"
    with pytest.raises(ConfigurationMissing, match=said), refusals("the data bucket"):
        raise ClientError({"Error": {"Code": code}}, "PutObject")


@pytest.mark.parametrize(
    ("code", "throttled"),
    [
        ("KMSThrottlingException", True), ("KmsThrottled", True), ("RequestThrottledException", True),
        ("SlowDown", True), ("InternalFailure", False),
    ],
)  # fmt: skip
def test_what_passes_by_itself_is_tried_again_and_for_longer_where_somebody_has_to_slow_down(
    code: str, throttled: bool
) -> None:
    with pytest.raises(AwsUnavailable) as met, refusals("the data bucket"):
        raise ClientError({"Error": {"Code": code}}, "PutObject")
    assert met.value.throttled is throttled


def test_who_may_not_use_a_secret_is_led_to_its_key_as_well() -> None:
    """Secrets Manager answers so where the key of a secret refuses us, however right the function's policy is."""
    said = r"template\.yaml; where a KMS key of your own encrypts it"
    with pytest.raises(ConfigurationMissing, match=said), refusals("the connection secret"):
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
