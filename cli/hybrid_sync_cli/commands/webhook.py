"""`hybrid-sync events` and `webhook`: what is mapped to what, the senders' secrets, and an event to try it with."""

from __future__ import annotations

import json
import sys
import time
from http import HTTPStatus
from typing import Any

import click
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from hybrid_sync.services.messages.senders import (
    USUAL_HOURS,
    EventsAsked,
    KnownEvents,
    KnownSource,
    Rotated,
    SignAsked,
    SignedEvent,
)
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import reference


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def events(as_json: bool) -> None:
    """What is mapped to what: each source's events, and where they have the legacy keys of which rows."""
    found = Deployment.chosen().ask("events", EventsAsked(), KnownEvents)
    if as_json:
        click.echo(found.model_dump_json())
        return
    rows = [
        (source.source, _signed(source), event.event, event.priority, "\n".join(event.rows))
        for source in found.sources
        for event in source.events
    ]
    tables.console().print(tables.plain(("source", "signed", "event", "priority", "rows"), rows))


@click.group()
def webhook() -> None:
    """Senders of events: their secrets, and a signed sample."""


@webhook.command()
@click.argument("source")
@click.argument("event")
@click.option(
    "--key", "refs", multiple=True, required=True, metavar="ENTITY:KEY",
    help="A row that the event is about, as payments:17229; may be repeated.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before an event that erases or merges people.")
def send(source: str, event: str, refs: tuple[str, ...], yes: bool) -> None:
    """Send a sample EVENT of SOURCE, signed as the sender would; it starts a run of these rows.

    An event that erases or merges people does so, for good, and asks first.
    """
    deployment = Deployment.chosen()
    asked = SignAsked(source=source, event=event, refs=tuple(map(reference, refs)))
    signed = deployment.ask("sign-event", asked, SignedEvent)
    if signed.act != "sync" and not yes:
        click.echo(f"This event {signed.act}s {', '.join(refs)}, and nothing undoes it.")
        click.confirm("Send it?", abort=True)
    url = f"{deployment.url}/v1/webhooks/{source}"
    status, said = _post(url, signed)
    if status == HTTPStatus.UNAUTHORIZED:  # a secret of this minute, which a worker looks for every few seconds
        from hybrid_sync.webhooks.keyring import AGAIN_AFTER  # with much that no other answer needs

        time.sleep(AGAIN_AFTER.total_seconds() + 1)
        status, said = _post(url, signed)
    if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise CliError(f"The event was refused with {status}: {said.get('detail', 'no reason was given')}")
    click.echo(f"{said['status']}: follow it with hybrid-sync status {said['run_id']}")


@webhook.group()
def secret() -> None:
    """What a source proves itself by."""


@secret.command()
@click.argument("source")
@click.option("--given", is_flag=True, help="Take the secret that the sender has made, from standard input.")
@click.option("--url", help="Where the sender sends to, which Square signs; default: the deployment's own address.")
@click.option(
    "--overlap", type=click.IntRange(0, 720), default=USUAL_HOURS, show_default=True, metavar="HOURS",
    help="How long the secrets before it still count.",
)  # fmt: skip
def rotate(source: str, given: bool, url: str | None, overlap: int) -> None:
    """Give SOURCE another secret and print it, this once; those before it stay valid for a time."""
    deployment = Deployment.chosen()
    asked: dict[str, Any] = {"source": source, "overlap_hours": overlap}
    asked["url"] = url or f"{deployment.url}/v1/webhooks/{source}"
    if given:
        asked["secret"] = _given()
    rotated = deployment.ask("rotate-webhook-secret", asked, Rotated)
    if rotated.secret:
        click.echo(rotated.secret)
    others = f", and {rotated.open - 1} before it for at most {overlap} hours" if rotated.open > 1 else ""
    click.echo(f"{source} proves itself by this secret now{others}. It sends to {asked['url']}", err=True)


def _given() -> str:
    """Never an argument of the command line, which other users of the machine can see."""
    if sys.stdin.isatty():
        return str(click.prompt("The sender's secret", hide_input=True))
    text = sys.stdin.readline().strip()
    if not text:
        raise CliError("Standard input holds no secret: pipe it in, or type it without a pipe.")
    return text


def _post(url: str, signed: SignedEvent) -> tuple[int, dict[str, Any]]:
    request = AWSRequest("POST", url, headers=signed.headers, data=signed.body.encode()).prepare()
    try:
        answer = URLLib3Session(timeout=(5, 35)).send(request)
    except BotoCoreError as error:
        raise CliError(f"{url} did not answer ({type(error).__name__}): try again.") from None
    try:
        said = json.loads(answer.content)
    except ValueError:
        said = {}
    return answer.status_code, said if isinstance(said, dict) else {}


def _signed(source: KnownSource) -> str:
    count = len(source.secrets)
    if source.signed == "eventbridge":
        return source.signed
    return f"{source.signed}, {count or 'no'} secret{'' if count == 1 else 's'}"


commands: list[click.Command] = [events, webhook]
