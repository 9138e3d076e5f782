"""What people are notified of: one message, and each channel's way to write it.

A new channel is a class here and its place in `wiring.DeployedWorld.alerts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hybrid_sync.aws import Client, refusals
from hybrid_sync.errors import SyncError

_SUBJECT_LETTERS = 100
_BODY_BYTES = 200_000


@dataclass(frozen=True)
class Alert:
    """A title and sentences, of codes, counts, keys and amounts: never a cell value.  `urgent`: somebody has to act."""

    title: str
    lines: tuple[str, ...]
    urgent: bool = False

    @property
    def subject(self) -> str:
        return f"hybrid-sync{' ALERT' if self.urgent else ''}: {self.title}"

    @property
    def body(self) -> str:
        return "\n".join(self.lines)


class Channel(Protocol):
    """One way to people; raises a SyncError when the message did not get through."""

    def send(self, alert: Alert) -> None: ...


class Channels:
    """Every channel of the deployment; `hybrid_sync.world.Alerts`."""

    def __init__(self, *channels: Channel) -> None:
        self._channels = channels

    def publish(self, alert: Alert) -> None:
        """Send to all of them, whichever fails; then the first failure, so that the step is repeated."""
        failures: list[SyncError] = []
        for channel in self._channels:
            try:
                channel.send(alert)
            except SyncError as error:
                failures.append(error)
        if failures:
            raise failures[0]


class Topic:
    """Mail to everyone who has subscribed to an SNS topic: a subject of 100 ASCII letters on one line, and a text."""

    def __init__(self, topic: str, client: Client) -> None:
        self._topic = topic
        self._client = client

    def send(self, alert: Alert) -> None:
        subject = " ".join(alert.subject.encode("ascii", "replace").decode().split())[:_SUBJECT_LETTERS]
        body = alert.body.encode()[:_BODY_BYTES].decode(errors="ignore")
        with refusals("the alert topic"):
            self._client.publish(TopicArn=self._topic, Subject=subject, Message=body or subject)


class Log:
    """A line of the function's log, for whoever searches it or makes an alarm of it."""

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    def send(self, alert: Alert) -> None:
        self._write("alert", extra={"subject": alert.subject, "urgent": alert.urgent, "lines": alert.lines})
