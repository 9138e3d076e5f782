"""Each channel writes the same alert in its own way, signed where it can be, and says when it did not get through."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Verifier

from hybrid_sync.alerts import Alert, Channels, Chat, Webhook, channels
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing
from hybrid_sync.secret import Connections

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


def test_a_receiver_that_refuses_fails_the_step_so_that_it_is_repeated_and_the_others_are_told() -> None:
    seen: list[Alert] = []
    refusing = Chat("https://hooks.slack.example.com/x", Receiver(status=500).post)
    with pytest.raises(AwsUnavailable):
        Channels(refusing, _Kept(seen.append)).publish(ALERT)
    assert len(seen) == 1


def test_an_address_that_anybody_could_read_is_refused() -> None:
    with pytest.raises(ConfigurationMissing):
        Chat("http://hooks.slack.example.com/x")
    with pytest.raises(ConfigurationMissing):
        Webhook("https://hooks.example.com", "plain", lambda: datetime.now(UTC))


def test_whatever_the_secret_lacks_or_has_wrong_the_usual_channels_tell() -> None:
    seen: list[Alert] = []

    def broken() -> Connections:
        raise ConfigurationMissing("There is no secret.")

    wrong = Connections(alert_chat_url=SecretStr("ftp://x"), dashboard_url="https://d.example.com")
    for held in (broken, lambda: wrong):
        channels([_Kept(seen.append)], held, lambda: datetime.now(UTC)).publish(ALERT)
    assert [alert.link for alert in seen] == ["", "https://d.example.com/runs/r1"]
