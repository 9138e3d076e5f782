"""The mail that people get: a queue of our own is subscribed to the deployment's topic, as a mailbox would be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hybrid_sync_cli.stack import Stack

NAME = "drills-mailbox"


@dataclass(frozen=True)
class Mail:
    """One message as SNS delivers it."""

    subject: str
    text: str

    @property
    def whole(self) -> str:
        return f"{self.subject}\n{self.text}"

    @property
    def urgent(self) -> bool:
        return "ALERT" in self.subject


class Mailbox:
    """Everything that was mailed since it was opened."""

    def __init__(self, stack: Stack) -> None:
        self._sqs = stack.client("sqs")
        topic = stack.outputs["AlertTopic"]
        self._url = self._sqs.create_queue(QueueName=NAME)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(_policy(topic, arn))})
        self._sns = stack.client("sns")
        self._subscribed = self._sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
        )["SubscriptionArn"]  # fmt: skip
        self.mails: list[Mail] = []

    def look(self) -> list[Mail]:
        """What has come, old and new."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                told = json.loads(message["Body"])
                self.mails.append(Mail(told.get("Subject", ""), told["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self.mails

    def close(self) -> None:
        self._sns.unsubscribe(SubscriptionArn=self._subscribed)
        self._sqs.delete_queue(QueueUrl=self._url)


def _policy(topic: str, queue: str) -> dict[str, Any]:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": queue, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [statement]}
