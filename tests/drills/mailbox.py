"""The mail that people get: a queue of our own is subscribed to the deployment's topic, as a mailbox would be, and the
emulator keeps what SES has sent."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from hybrid_sync_cli.stack import Stack

NAME = "drills-mailbox"
ADDRESSES = ("sync@hybrid-sync.test", "ops@hybrid-sync.test")
"""From whom and to whom the deployments of tests mail their digests."""


@dataclass(frozen=True)
class Mail:
    """One message as SNS or SES delivers it."""

    subject: str
    text: str
    html: str = ""

    @property
    def whole(self) -> str:
        return f"{self.subject}\n{self.text}\n{self.html}"

    @property
    def urgent(self) -> bool:
        return "ALERT" in self.subject


class Mailbox:
    """Everything that was mailed since it was opened."""

    def __init__(self, stack: Stack) -> None:
        self.mails: list[Mail] = []
        self.open(stack)

    def open(self, stack: Stack) -> None:
        """At another deployment from now on; what has come before stays."""
        self._sqs = stack.client("sqs")
        topic = stack.outputs["AlertTopic"]
        self._url = self._sqs.create_queue(QueueName=NAME)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(_policy(topic, arn))})
        self._sns = stack.client("sns")
        self._subscribed = self._sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
        )["SubscriptionArn"]  # fmt: skip
        self._stack = stack
        for address in ADDRESSES:
            verify(stack, address)
        self._by_ses = len(mailed(stack))

    def look(self) -> list[Mail]:
        """What has come, old and new."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                told = json.loads(message["Body"])
                self.mails.append(Mail(told.get("Subject", ""), told["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        fresh = mailed(self._stack)[self._by_ses :]
        self._by_ses += len(fresh)
        self.mails += fresh
        return self.mails

    def close(self) -> None:
        self._sns.unsubscribe(SubscriptionArn=self._subscribed)
        self._sqs.delete_queue(QueueUrl=self._url)


def verify(stack: Stack, address: str) -> None:
    """Somebody has clicked on the link that SES has sent to it."""
    ses = stack.client("sesv2")
    if address not in [one["IdentityName"] for one in ses.list_email_identities()["EmailIdentities"]]:
        ses.create_email_identity(EmailIdentity=address)


def mailed(stack: Stack) -> list[Mail]:
    """What SES has sent so far, the oldest first."""
    with urllib.request.urlopen(f"{stack.aws_endpoint_url}/_ministack/ses/messages", timeout=40) as answer:
        kept = json.load(answer)["messages"]
    every = [one for of_account in kept.values() for one in of_account]
    for one in every:
        assert (one["Source"], one["To"]) == (ADDRESSES[0], [ADDRESSES[1]])
    return [Mail(one["Subject"], one["BodyText"], one["BodyHtml"] or "") for one in every]


def _policy(topic: str, queue: str) -> dict[str, Any]:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": queue, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [statement]}
