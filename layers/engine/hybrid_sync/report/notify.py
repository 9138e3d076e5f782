"""Telling people: one SNS topic, short messages of codes and counts."""

from __future__ import annotations

from hybrid_sync.aws import Client, refusals

_SUBJECT_LETTERS = 100
_BODY_BYTES = 200_000


class SnsAlerts:
    """Messages to everyone who has subscribed to the topic."""

    def __init__(self, topic: str, client: Client) -> None:
        self._topic = topic
        self._client = client

    def publish(self, subject: str, body: str) -> None:
        """Send one message; the subject is cut to SNS's 100 ASCII letters on one line."""
        plain = " ".join(subject.encode("ascii", "replace").decode().split())[:_SUBJECT_LETTERS]
        shortened = body.encode()[:_BODY_BYTES].decode(errors="ignore")
        with refusals("the alert topic"):
            self._client.publish(TopicArn=self._topic, Subject=plain or "hybrid-sync", Message=shortened or plain)
