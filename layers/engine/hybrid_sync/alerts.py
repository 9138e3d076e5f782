"""What people are notified of: one message, and each channel's way to write it.

A new channel is a class here and its line in `_FURTHER`, whose field `hybrid_sync.secret.Connections` has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from hybrid_sync.aws import Client, refusals
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing, SyncError
from hybrid_sync.secret import Connections, text

_SUBJECT_LETTERS = 100
_BODY_BYTES = 200_000
_CHAT_LETTERS = 2_900
"""Slack's limit of one text block is 3,000."""


@dataclass(frozen=True)
class Alert:
    """A title and sentences, of codes, counts, keys and amounts: never a cell value.  `urgent`: somebody has to act."""

    title: str
    lines: tuple[str, ...]
    urgent: bool = False
    cause: str = ""
    """Equal for alerts about the same trouble: people get one of them, and another after a day."""
    entities: tuple[str, ...] = ()
    new: int | None = None
    """Failed records that this is the first news of; `known` are those before."""
    known: int | None = None
    money: tuple[str, ...] = ()
    remedy: str = ""
    command: str = ""
    path: str = ""
    """The dashboard's page with more about it, below its address."""
    link: str = ""
    page: str = ""
    """A digest as HTML without a head, for whoever takes HTML; empty of what is no digest."""

    @property
    def subject(self) -> str:
        return f"hybrid-sync{' ALERT' if self.urgent else ''}: {self.title}"

    @property
    def body(self) -> str:
        do, see = f"What to do: {self.remedy}", f"See: {self.command}"
        more = (do if self.remedy else "", see if self.command else "", self.link)
        return "\n".join((*self.lines, *filter(None, more)))

    @property
    def document(self) -> dict[str, Any]:
        """The alert as JSON, for a program."""
        return {
            "type": "hybrid_sync.alert", "title": self.title, "urgent": self.urgent, "cause": self.cause,
            "entities": self.entities, "failed_records": {"new": self.new, "known": self.known}, "money": self.money,
            "lines": self.lines, "remedy": self.remedy, "command": self.command, "link": self.link,
        }  # fmt: skip


class Channel(Protocol):
    """One way to people; raises a SyncError when the message did not get through."""

    def send(self, alert: Alert) -> None: ...


class Channels:
    """Every channel of the deployment; `hybrid_sync.world.Alerts`.

    Links begin at `dashboard`, where that is known.  `missing`: a sentence for each channel that could not be made,
    which ends every alert.
    """

    def __init__(self, *channels: Channel, dashboard: str = "", missing: Sequence[str] = ()) -> None:
        self._channels = channels
        self._dashboard = dashboard
        self._missing = tuple(missing)

    def publish(self, alert: Alert) -> None:
        """Send to all of them, whichever fails, and say by those that took it which did not.

        Raises the first failure where none took it but the log, so that the step is repeated.
        """
        failures: list[SyncError] = []
        took: list[Channel] = []
        link = f"{self._dashboard}/{alert.path}".rstrip("/") if self._dashboard else ""
        whole = replace(alert, link=link, lines=(*alert.lines, *self._missing))
        for channel in self._channels:
            try:
                channel.send(whole)
            except SyncError as error:
                failures.append(error)
            else:
                took += [channel] if not isinstance(channel, Log) else []
        if failures and not took:
            raise failures[0]
        for channel in took if failures else ():
            with suppress(SyncError):
                channel.send(_unreached(whole, failures))


def _unreached(alert: Alert, failures: Sequence[SyncError]) -> Alert:
    """To whoever got the alert: by these ways it did not come."""
    lines = (f"It says: {alert.title}.", *map(str, failures))
    return Alert("an alert did not reach everybody", lines, urgent=True, link=alert.link)


class Topic:
    """Mail to everyone who has subscribed to an SNS topic: a subject of 100 ASCII letters on one line, and a text.

    A digest goes by `mail` where there is that way, as HTML.  What is urgent goes by both, for the topic may have other
    subscribers than that one address; and what could not be mailed goes by the topic.
    """

    def __init__(self, topic: str, client: Client, mail: Channel | None = None) -> None:
        self._topic = topic
        self._client = client
        self._mail = mail

    def send(self, alert: Alert) -> None:
        if self._mailed(alert) and not alert.urgent:
            return
        subject = " ".join(alert.subject.encode("ascii", "replace").decode().split())[:_SUBJECT_LETTERS]
        body = alert.body.encode()[:_BODY_BYTES].decode(errors="ignore")
        with refusals("the alert topic"):
            self._client.publish(TopicArn=self._topic, Subject=subject, Message=body or subject)

    def _mailed(self, alert: Alert) -> bool:
        if not alert.page or self._mail is None:
            return False
        try:
            self._mail.send(alert)
        except SyncError:
            return False
        return True


class Log:
    """A line of the function's log, for whoever searches it or makes an alarm of it."""

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    def send(self, alert: Alert) -> None:
        self._write("alert", extra={"subject": alert.subject, "urgent": alert.urgent, "lines": alert.lines})


Post = Callable[[str, dict[str, str], bytes], int]
"""Address, headers and body -> status; OSError or BotoCoreError where nobody answers."""


def posted(url: str, headers: dict[str, str], body: bytes) -> int:
    """POST once, by TLS as botocore proves it, and return the status; redirects are not followed."""
    session = URLLib3Session(timeout=(2, 5), max_pool_connections=1)
    try:
        return int(session.send(AWSRequest("POST", url, headers=headers, data=body).prepare()).status_code)
    finally:
        session.close()


class Webhook:
    """JSON to an address of theirs, signed by the Standard Webhooks specification: id, time and body under a secret."""

    def __init__(self, url: str, secret: str, now: Callable[[], datetime], post: Post = posted) -> None:
        self._url = _secure(url, "alert_webhook_url")
        key = _bytes_of(secret.removeprefix("whsec_"))
        if not secret.startswith("whsec_") or not key:
            raise ConfigurationMissing(
                "alert_webhook_secret in the secret is none of Standard Webhooks.",
                "Write whsec_ and 32 bytes in base64.",
            )
        self._key = key
        self._now = now
        self._post = post

    def send(self, alert: Alert) -> None:
        now = self._now()
        body = json.dumps({**alert.document, "timestamp": now.isoformat()}, sort_keys=True)
        name = f"msg_{hashlib.sha256(body.encode()).hexdigest()[:32]}"
        seconds = str(int(now.timestamp()))
        signed = hmac.new(self._key, f"{name}.{seconds}.{body}".encode(), hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": seconds,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }  # fmt: skip
        _send(self._post, self._url, headers, body, "the alert webhook")


class Chat:
    """A message to a channel of Slack, or of whoever takes the same JSON at an address of its own."""

    def __init__(self, url: str, post: Post = posted) -> None:
        self._url = _secure(url, "alert_chat_url")
        self._post = post

    def send(self, alert: Alert) -> None:
        mark = ":rotating_light:" if alert.urgent else ":white_check_mark:"
        said = _no_markup(alert.body)[:_CHAT_LETTERS]
        blocks = [
            {"type": "header", "text": {"type": "plain_text", "text": alert.subject[:150]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": said}},
        ]
        body = json.dumps({"text": f"{mark} {_no_markup(alert.subject)}", "blocks": blocks})
        _send(self._post, self._url, {"Content-Type": "application/json"}, body, "the alert chat")


def _no_markup(text: str) -> str:
    """As Slack wants a text written in which nobody is called and no link stands."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_FURTHER: dict[str, Callable[[Connections, Callable[[], datetime]], Channel]] = {
    "alert_webhook_url": lambda held, now: Webhook(
        held.need("alert_webhook_url"), held.need("alert_webhook_secret"), now
    ),
    "alert_chat_url": lambda held, _: Chat(held.need("alert_chat_url")),
}
"""Each channel that the deployment's secret may name, by the field that holds its address."""


def channels(usual: Sequence[Channel], held: Callable[[], Connections], now: Callable[[], datetime]) -> Channels:
    """The usual ones, and those that the secret names.

    Where it cannot be read, or a channel is filled in wrongly, the others have to do, and say in each alert what is
    missing.
    """
    further: list[Channel] = []
    missing: list[str] = []
    dashboard = ""
    try:
        secret = held()
        dashboard = secret.dashboard_url
        for field, made in _FURTHER.items():
            if text(getattr(secret, field)):
                try:
                    further.append(made(secret, now))
                except SyncError as error:
                    missing.append(f"No alert goes to the address in {field}: {error}")
    except SyncError as error:
        missing.append(f"Alerts go by mail and log alone: {error}")
    return Channels(*usual, *further, dashboard=dashboard, missing=missing)


def _bytes_of(text: str) -> bytes:
    """Base64 as bytes; none where it is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _secure(url: str, field: str) -> str:
    """ConfigurationMissing for an address that anybody on the way could read; it is a secret itself."""
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ConfigurationMissing(
            f"{field} in the secret is no https address.", "Write the one that its receiver gave."
        )
    return url


def _send(post: Post, url: str, headers: dict[str, str], body: str, what: str) -> None:
    """Once more where it does not get through at once."""
    for _ in range(2):
        try:
            status = post(url, headers, body.encode())
        except (OSError, BotoCoreError):
            status = 0
        if 200 <= status < 300:
            return
    raise AwsUnavailable(
        f"{what[0].upper()}{what[1:]} did not take a message (HTTP {status}).",
        "Look at its receiver, and whether the secret ConnectionSecret holds its address as it is now.",
    )
