"""The deployment's own parts in AWS: there, ours to use, and large enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

from hybrid_sync.aws import refusals
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, error, note, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.ids.mint import ask_same_secret
from hybrid_sync.postgres import answer


def _asked(what: str, ask: Callable[[], Any], finding: Callable[[str, str, str], Finding] = error) -> Any:
    """The answer and no finding, or none and why.

    A service that fails or throttles is raised, since nothing is known then.
    """
    try:
        with refusals(what):
            return ask(), []
    except ConfigurationMissing as refused:
        return None, [finding("part_missing", refused.message, refused.remedy)]


@probe("aws")
def id_map(context: ProbeContext) -> Iterator[Finding]:
    """Whether the id map's table is there and answers."""
    parts = context.aws
    table = parts.id_map_table
    _, found = _asked(
        "id map table", lambda: parts.client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": [{"pk": {"S": "check"}}]}}
        )
    )  # fmt: skip
    yield from found


_IS_THERE: LiteralString = """
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'hybrid_sync' and c.relname = 'id_secret' and has_schema_privilege(n.oid, 'usage'))
"""


@probe("aws")
def id_secret(context: ProbeContext) -> Iterator[Finding]:
    """Whether the secret from which new ids are made is there, and is the one of this target."""
    parts = context.aws
    try:
        secret = parts.id_secret()
        if "target" in context.connections and context.row("target", _IS_THERE)[0]:
            with context.reading("target") as target:
                answer(target, ask_same_secret(secret))
    except ConfigurationMissing as missing:
        yield error(missing.code, missing.message, missing.remedy)


@probe("aws")
def failure_queue(context: ProbeContext) -> Iterator[Finding]:
    """Whether the queue of failed records is there, and how many wait in it."""
    parts = context.aws
    answer, found = _asked(
        "queue of failed records", lambda: parts.client("sqs").get_queue_attributes(
            QueueUrl=parts.failed_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
    )  # fmt: skip
    yield from found
    if answer is not None:
        waiting = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        yield note("queue", f"About {waiting} messages about failed records wait for their retry.")


@probe("aws")
def alert_topic(context: ProbeContext) -> Iterator[Finding]:
    """Whether anybody is notified: a topic with a subscription that was confirmed."""
    parts = context.aws
    answer, found = _asked(
        "alert topic", lambda: parts.client("sns").get_topic_attributes(TopicArn=parts.alert_topic)
    )  # fmt: skip
    yield from found
    if answer is None:
        return
    confirmed, pending = (
        int(answer["Attributes"].get(name, 0)) for name in ("SubscriptionsConfirmed", "SubscriptionsPending")
    )
    if not confirmed and pending:
        yield warning(
            "nobody_told",
            f"{pending} subscriptions of the alert topic wait to be confirmed, and none is.",
            "Open the link in the mail that SNS has sent to AlertEmail.",
        )
    elif not confirmed:
        yield NOBODY


NOBODY = note(
    "nobody_subscribed",
    "Nobody has subscribed to the alert topic: what a run says is in its report and in the log alone.",
    "Deploy with AlertEmail, or subscribe to the topic.",
)


@probe("aws")
def state_machine(context: ProbeContext) -> Iterator[Finding]:
    """Whether the state machine is there and active."""
    parts = context.aws
    _, found = _asked(
        "state machine", lambda: parts.client("stepfunctions").describe_state_machine(
            stateMachineArn=parts.state_machine
        )
    )  # fmt: skip
    yield from found


@probe("aws")
def data_bucket(context: ProbeContext) -> Iterator[Finding]:
    """Whether the bucket of manifests and reports is there and ours."""
    parts = context.aws
    _, found = _asked("data bucket", lambda: parts.client("s3").head_bucket(Bucket=parts.data_bucket))
    yield from found


@probe("aws")
def lambda_quota(context: ProbeContext) -> Iterator[Finding]:
    """How many functions the account may run at once, against those of a run."""
    parts = context.aws
    answer, found = _asked("account's Lambda quota", parts.client("lambda").get_account_settings, warning)
    yield from found
    if answer is None:
        return
    limit = answer["AccountLimit"]
    free = int(limit["UnreservedConcurrentExecutions"])
    sentence = f"The account may run {free} functions at once that reserve nothing, and a run uses {context.workers}"
    if free < context.workers:
        yield warning(
            "small_quota",
            f"{sentence}: others are throttled, and the run waits.",
            "Ask for more in Service Quotas (Lambda, concurrent executions: L-B99A9384), or deploy with smaller"
            " TargetConnections or LegacyConnections.",
        )
    else:
        yield note("quota", f"{sentence}.")
