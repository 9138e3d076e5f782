"""Mail as HTML and text, by SES: what SNS cannot send, whose mails are text alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

from hybrid_sync.alerts import Alert, Channel, Log, Topic
from hybrid_sync.aws import Client, refusals

_CODE = re.compile("`([^`]*)`")


class Mail:
    """From one address that SES has verified to one other."""

    def __init__(self, sender: str, recipient: str, client: Callable[[], Client]) -> None:
        self._sender = sender
        self._recipient = recipient
        self._client = client

    def send(self, alert: Alert) -> None:
        parts = {"Text": alert.body, "Html": _page(alert)}
        with refusals("mail by SES"):
            self._client().send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [self._recipient]},
                Content={
                    "Simple": {
                        "Subject": {"Data": alert.subject, "Charset": "UTF-8"},
                        "Body": {name: {"Data": text, "Charset": "UTF-8"} for name, text in parts.items()},
                    }
                },
            )


def mail_between(sender: str, recipient: str, client: Callable[[], Client]) -> Mail | None:
    """None where one of the two is `none`; the client is made for the first mail alone."""
    return None if "none" in (sender, recipient) else Mail(sender, recipient, client)


class Addresses(Protocol):
    """Whom a deployment's settings name, and from whom."""

    @property
    def mail_from(self) -> str: ...

    @property
    def alert_email(self) -> str: ...

    def need(self, field: str) -> str: ...


def usual_channels(
    settings: Addresses, client: Callable[[str], Client], write: Callable[..., object]
) -> Sequence[Channel]:
    """Mail and the log, which every deployment has."""
    mail = mail_between(settings.mail_from, settings.alert_email, lambda: client("sesv2"))
    return Topic(settings.need("alert_topic"), client("sns"), mail), Log(write)


def _page(alert: Alert) -> str:
    """The alert's page, and below it what to do and where to read more."""
    remedy = _CODE.sub(r"<code>\1</code>", escape(alert.remedy))
    more = [f"<p><b>What to do:</b> {remedy}</p>"] if remedy else []
    more += [f"<p>See: <code>{escape(alert.command)}</code></p>"] if alert.command else []
    more += [f'<p><a href="{escape(alert.link)}">Open it on the dashboard</a></p>'] if alert.link else []
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(alert.subject)}</title></head>'
        '<body style="font-family:system-ui,sans-serif;font-size:14px;line-height:1.45;color:#222;max-width:640px">'
        f"{alert.page}{''.join(more)}</body></html>"
    )
