"""Each channel writes the same alert in its own way, signed where it can be, and says when it did not get through."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.stub import Stubber
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Verifier

from hybrid_sync.alerts import Alert, Channels, Chat, Log, Topic, Webhook, channels
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing
from hybrid_sync.mail import Mail, mail_between
from hybrid_sync.secret import Connections
from hybrid_sync.settings import Settings
from hybrid_sync.wiring import DeployedWorld

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
ALERT = Alert(
    "weekly run degraded", ("Weekly sync, run r1: degraded.",), urgent=True, cause="run:weekly:degraded:bad_json",
    entities=("payments",), new=2, known=5, money=("USD 1.00 is absent.",), remedy="Correct <it> in legacy.",
    command="hybrid-sync report r1", path="runs/r1",
)  # fmt: skip


@dataclass
class Receiver:
    status: int = 200
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        self.got.append((url, headers, body))
        return self.status


def test_mail_says_what_to_do_with_which_command_and_where_to_look() -> None:
    seen: list[Alert] = []
    Channels(_Kept(seen.append), dashboard="https://dash.example.com/live/dashboard").publish(ALERT)
    assert seen[0].body.splitlines()[1:] == [
        "What to do: Correct <it> in legacy.", "See: hybrid-sync report r1",
        "https://dash.example.com/live/dashboard/runs/r1",
    ]  # fmt: skip


@dataclass
class _Kept:
    send: Callable[[Alert], None]


def test_a_webhook_is_signed_as_standard_webhooks_own_library_has_it() -> None:
    receiver = Receiver()
    Webhook("https://hooks.example.com/x", SECRET, lambda: datetime.now(UTC), receiver.post).send(ALERT)
    [(url, headers, body)] = receiver.got
    told: Any = Verifier(SECRET).verify(body, headers)
    assert url == "https://hooks.example.com/x"
    assert (told["entities"], told["failed_records"], told["urgent"]) == (["payments"], {"new": 2, "known": 5}, True)
    assert told["command"] == "hybrid-sync report r1"


def test_a_chat_takes_slacks_json_and_nothing_of_it_is_markup() -> None:
    receiver = Receiver()
    Chat("https://hooks.slack.example.com/x", receiver.post).send(ALERT)
    told = json.loads(receiver.got[0][2])
    assert told["text"].endswith("hybrid-sync ALERT: weekly run degraded")
    assert "Correct &lt;it&gt; in legacy." in told["blocks"][1]["text"]["text"]


def test_what_a_chat_shows_where_it_shows_no_blocks_is_no_markup_either() -> None:
    receiver = Receiver()
    Chat("https://hooks.slack.example.com/x", receiver.post).send(replace(ALERT, title="<!channel> of R&D"))
    assert json.loads(receiver.got[0][2])["text"].endswith("&lt;!channel&gt; of R&amp;D")


@pytest.mark.parametrize("status", [0, 404, 500])
def test_a_receiver_that_refuses_twice_keeps_nobody_else_from_the_alert_and_they_hear_of_it(status: int) -> None:
    """Or its revoked address would fail every run that has to be told, and tell the others again and again."""
    seen: list[Alert] = []
    receiver = Receiver(status)
    Channels(Chat("https://hooks.slack.example.com/x", receiver.post), _Kept(seen.append)).publish(ALERT)
    assert (seen[0].title, len(receiver.got)) == (ALERT.title, 2)
    [unreached] = seen[1:]
    assert (unreached.title, unreached.urgent) == ("an alert did not reach everybody", True)
    assert unreached.lines[0] == f"It says: {ALERT.title}."
    assert unreached.lines[1].startswith(f"The alert chat did not take a message (HTTP {status}).")


def test_a_receiver_that_takes_the_second_message_has_taken_it() -> None:
    class Waking(Receiver):
        def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
            return 200 if super().post(url, headers, body) and len(self.got) > 1 else 503

    seen: list[Alert] = []
    Channels(Chat("https://hooks.slack.example.com/x", Waking().post), _Kept(seen.append)).publish(ALERT)
    assert len(seen) == 1


def test_an_alert_that_nobody_takes_but_the_log_fails_the_step_so_that_it_is_repeated() -> None:
    written: list[str] = []
    refusing = Chat("https://hooks.slack.example.com/x", Receiver(status=500).post)
    with pytest.raises(AwsUnavailable):
        Channels(refusing, Log(lambda line, **_: written.append(line))).publish(ALERT)
    assert written == ["alert"]


SENDER, READER = "sync@example.com", "ops@example.com"
DIGEST = replace(ALERT, title="weekly run succeeded", urgent=False, page="<h1>Weekly sync</h1>")


def test_a_digest_goes_by_ses_as_html_and_as_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = Session().create_client("sesv2", region_name="us-east-1")
    sent: list[dict[str, Any]] = []
    client.meta.events.register("before-parameter-build.*.*", lambda params, **_: sent.append(params))
    with Stubber(client) as stub:
        stub.add_response("send_email", {"MessageId": "m"})
        Mail(SENDER, READER, lambda: client).send(replace(DIGEST, link="https://dash.example.com/runs/r1?a=1&b=2"))

    [mail] = sent
    body = mail["Content"]["Simple"]["Body"]
    assert (mail["FromEmailAddress"], mail["Destination"]) == (SENDER, {"ToAddresses": [READER]})
    assert body["Text"]["Data"].startswith("Weekly sync, run r1: degraded.\nWhat to do: Correct <it> in legacy.")
    assert "<h1>Weekly sync</h1><p><b>What to do:</b> Correct &lt;it&gt; in legacy.</p>" in body["Html"]["Data"]
    assert 'href="https://dash.example.com/runs/r1?a=1&amp;b=2"' in body["Html"]["Data"]


@pytest.mark.parametrize(
    ("alert", "refused", "mailed", "published"),
    [
        (DIGEST, False, 1, 0),
        (replace(DIGEST, urgent=True), False, 1, 1),  # the topic may have other subscribers
        (DIGEST, True, 0, 1),  # an address that SES does not know is no reason to hear nothing
        (ALERT, False, 0, 1),
    ],
)
def test_a_digest_is_mailed_once_and_nothing_is_lost_where_it_cannot_be(
    alert: Alert, refused: bool, mailed: int, published: int
) -> None:
    mails: list[Alert] = []

    def send(alert: Alert) -> None:
        if refused:
            raise ConfigurationMissing("SES does not know the address.", "Verify it.")
        mails.append(alert)

    topic = _Topic()
    Topic("arn:topic", topic, _Kept(send)).send(alert)
    assert (len(mails), len(topic.published)) == (mailed, published)


@dataclass
class _Topic:
    """The client of a topic."""

    published: list[dict[str, str]] = field(default_factory=list)

    def publish(self, **message: str) -> None:
        self.published.append(message)


def test_without_two_addresses_there_is_no_mail() -> None:
    assert mail_between("none", READER, _Topic) is None
    assert mail_between(SENDER, "none", _Topic) is None
    assert mail_between(SENDER, READER, _Topic) is not None


def test_an_address_that_anybody_could_read_is_refused() -> None:
    with pytest.raises(ConfigurationMissing):
        Chat("http://hooks.slack.example.com/x")
    with pytest.raises(ConfigurationMissing):
        Webhook("https://hooks.example.com", "plain", lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("url", "secret"),
    [("https://hooks.example.com/x", ""), ("https://hooks.example.com/x", "whsec_!"), ("ftp://x", SECRET)],
)
def test_a_channel_that_is_filled_in_wrongly_is_left_out_and_the_others_say_so(url: str, secret: str) -> None:
    seen: list[Alert] = []
    with _listening() as (address, got):
        held = Connections(
            alert_webhook_url=SecretStr(url), alert_webhook_secret=SecretStr(secret),
            alert_chat_url=SecretStr(address),
        )  # fmt: skip
        channels([_Kept(seen.append)], lambda: held, lambda: datetime.now(UTC)).publish(ALERT)
    assert [message["blocks"][0]["text"]["text"] for message in got] == ["hybrid-sync ALERT: weekly run degraded"]
    assert seen[0].lines[:-1] == ALERT.lines
    assert re.match(r"No alert goes to the address in alert_webhook_url: .*alert_webhook_", seen[0].lines[-1])


class _Chat(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        vars(self.server)["got"].append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def _listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of JSON on this machine: its address, and what it has got."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Chat) as server:
        got: list[dict[str, Any]] = []
        vars(server)["got"] = got
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/x", got
        finally:
            server.shutdown()


def test_whatever_the_secret_lacks_or_has_wrong_the_usual_channels_tell() -> None:
    seen: list[Alert] = []

    def broken() -> Connections:
        raise ConfigurationMissing("There is no secret.")

    wrong = Connections(alert_chat_url=SecretStr("ftp://x"), dashboard_url="https://d.example.com")
    for held in (broken, lambda: wrong):
        channels([_Kept(seen.append)], held, lambda: datetime.now(UTC)).publish(ALERT)
    assert [alert.link for alert in seen] == ["", "https://d.example.com/runs/r1"]


@dataclass
class _Aws:
    """Secrets Manager and SNS behind their clients; a secret without a field is one that KMS has no key for."""

    secret: dict[str, str] = field(default_factory=dict)
    mailed: list[str] = field(default_factory=list)

    def __call__(self, service: str) -> _Aws:
        return self

    def get_secret_value(self, **_: str) -> dict[str, str]:
        if not self.secret:
            raise ClientError({"Error": {"Code": "DecryptionFailure"}}, "GetSecretValue")
        return {"SecretString": json.dumps(self.secret)}

    def publish(self, **said: str) -> None:
        self.mailed.append(said["Message"])


def test_a_worker_that_could_not_read_the_secret_sends_to_its_addresses_as_soon_as_it_can() -> None:
    aws = _Aws()
    world = DeployedWorld(Settings.from_environment({"HYBRID_SYNC_SECRET": "secret", "ALERT_TOPIC": "topic"}), aws)
    world.alerts.publish(ALERT)
    with _listening() as (address, got):
        aws.secret = {"alert_chat_url": address}
        world.alerts.publish(ALERT)
    assert len(got) == 1
    assert ["Alerts go by mail and log alone" in text for text in aws.mailed] == [True, False]
