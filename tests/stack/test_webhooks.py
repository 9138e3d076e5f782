"""Webhooks on the deployed stack: each kind of signature carries a row over, and nothing else starts anything."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from hybrid_sync.catalog.webhooks import Signature, load_webhooks
from hybrid_sync.http.webhooks import LONGEST_BODY
from hybrid_sync.services.messages.jobs import Jobs, JobsAsked, PauseAsked, Resumed
from hybrid_sync.services.messages.senders import Rotated
from hybrid_sync.webhooks.signatures import KINDS, TOLERANCE, Secret
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.progress import PAUSE
from hybrid_sync_cli.stack import ACCESS, STACK_NAME, Stack, home
from tests.cli.conftest import say
from tests.stack.world import fill

WEBHOOKS = load_webhooks(catalog_of_project(), home.project_root() / "layers" / "catalog").webhooks
BURST, AT_ONCE = 100, 10


@dataclass
class Senders:
    """Everybody who may send events, each with a secret that the deployment has made."""

    stack: Stack
    secrets: dict[str, Secret] = field(default_factory=dict)
    http: URLLib3Session = field(default_factory=lambda: URLLib3Session(timeout=(5, 60), max_pool_connections=20))

    def url(self, source: str) -> str:
        return f"{self.stack.api_url}/v1/webhooks/{source}"

    def rotate(self, source: str, overlap: int) -> Secret:
        asked = {"source": source, "url": self.url(source), "overlap_hours": overlap}
        made = Deployment.here(self.stack).ask("rotate-webhook-secret", asked, Rotated)
        self.secrets[source] = Secret(made.secret, self.url(source))
        return self.secrets[source]

    def signed(self, source: str, document: Any, *, secret: Secret | None = None, at: datetime | None = None) -> Any:
        body = json.dumps(document).encode()
        kind = KINDS[WEBHOOKS[source].signed]
        return body, kind.sign(body, secret or self.secrets[source], f"msg_{token_hex(8)}", at or datetime.now(UTC))

    def post(self, source: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """What the stack answers; its throttle lets ten a second pass, and a sender comes again."""
        while True:
            given = {"Content-Type": "application/json", **headers}
            answer = self.http.send(AWSRequest("POST", self.url(source), headers=given, data=body).prepare())
            if answer.status_code != 429:
                return answer.status_code, json.loads(answer.content)
            time.sleep(PAUSE)

    def runs(self) -> dict[str, str]:
        """Executions that webhooks have started, and how each is."""
        client, machine = self.stack.client("stepfunctions"), self.stack.outputs["StateMachineArn"]
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine)
        found = {e["name"]: e["status"] for page in pages for e in page["executions"]}
        return {name: status for name, status in found.items() if name.startswith("webhook-")}

    def ended(self) -> dict[str, str]:
        while "RUNNING" in (runs := self.runs()).values():
            time.sleep(PAUSE)
        return runs

    def until(self, status: int, secret: Secret) -> None:
        """Post until the answer is this one: a worker looks for new secrets at most every few seconds."""
        while self.post("stripe", *self.signed("stripe", event_of("stripe", 1), secret=secret))[0] != status:
            self.post("stripe", *self.signed("stripe", {}, secret=Secret("nobody knows this one")))
            time.sleep(PAUSE)

    def one(self, table: str) -> int:
        with psycopg.connect(self.stack.legacy_dsn) as legacy:
            return int(legacy.execute(f"select min(id) from {table}").fetchall()[0][0])

    def arrived(self, table: str, key: int) -> bool:
        with psycopg.connect(self.stack.target_dsn) as target:
            found = target.execute(f"select count(*) from {table} where legacy_id = %s", (key,)).fetchall()
        return bool(found[0][0])


@pytest.fixture(scope="module")
def senders(deployed: Stack) -> Iterator[Senders]:
    fill(deployed)
    made = Senders(deployed)
    for name, source in WEBHOOKS.items():
        if source.signed is not Signature.eventbridge:
            made.rotate(name, overlap=0)
    yield made
    made.ended()


def event_of(source: str, key: int) -> dict[str, Any]:
    """An event of the source about one row."""
    return {
        "clinic": {"type": "payment.captured", "refs": [{"entity": "payments", "legacy_id": key}]},
        "supabase": {"table": "orders", "type": "UPDATE", "record": {"legacy_id": key}},
        "square": {
            "type": "payment.updated", "event_id": token_hex(8),
            "data": {"object": {"payment": {"reference_id": str(key)}}},
        },
        "stripe": {
            "type": "charge.refunded", "id": token_hex(8), "data": {"object": {"metadata": {"payment_id": key}}}
        },
    }[source]  # fmt: skip


@pytest.mark.parametrize("source", ["clinic", "supabase", "square", "stripe"])
def test_a_signed_event_carries_its_row_over(senders: Senders, source: str) -> None:
    table, target = ("dispatch_instruction", "orders") if source == "supabase" else ("dispatch_payment", "payments")
    key = senders.one(table)

    status, said = senders.post(source, *senders.signed(source, event_of(source, key)))

    assert (status, said["status"]) == (202, "accepted")
    assert senders.ended()[said["run_id"]] == "SUCCEEDED"
    assert senders.arrived(target, key)


def test_an_event_of_the_bus_carries_its_row_over(senders: Senders) -> None:
    key, before = senders.one("dispatch_instruction"), set(senders.runs())
    entry = {
        "Source": "hybrid-sync.events", "DetailType": "order.submitted", "Detail": json.dumps({"order_id": key})
    }  # fmt: skip
    assert senders.stack.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    while not (new := set(senders.runs()) - before):
        time.sleep(PAUSE)
    [run] = new
    assert senders.ended()[run] == "SUCCEEDED"


def test_what_is_not_proved_is_refused_without_a_reason_and_starts_nothing(senders: Senders) -> None:
    before = senders.ended()
    long_ago, ahead = datetime.now(UTC) - TOLERANCE * 2, datetime.now(UTC) + TOLERANCE * 2
    refused: list[tuple[int, dict[str, Any]]] = []
    for source in ("clinic", "supabase", "square", "stripe"):
        document = event_of(source, 1)
        body, headers = senders.signed(source, document)
        other = Secret(KINDS[WEBHOOKS[source].signed].make(), senders.url(source))
        refused.append(senders.post(source, body, {}))
        refused.append(senders.post(source, *senders.signed(source, document, secret=other)))
        if source != "supabase":  # it signs nothing of the body
            refused.append(senders.post(source, body.replace(b"1", b"2"), headers))
        if source in ("clinic", "stripe"):  # Square signs no time
            refused.append(senders.post(source, *senders.signed(source, document, at=long_ago)))
            refused.append(senders.post(source, *senders.signed(source, document, at=ahead)))

    assert {status for status, _ in refused} == {401}
    told = {json.dumps({**said, "instance": ""}, sort_keys=True) for _, said in refused}
    assert len(told) == 1, "a refusal tells which check has failed"
    body, headers = senders.signed("clinic", event_of("clinic", 1))
    assert senders.post("nope", body, headers)[0] == senders.post("bus", body, headers)[0] == 404
    assert senders.post("clinic", b'"%s"' % (b"x" * LONGEST_BODY), headers)[0] == 413
    assert senders.runs() == before


def test_a_replaced_secret_counts_until_its_end(senders: Senders) -> None:
    old = senders.secrets["stripe"]
    new = senders.rotate("stripe", overlap=1)
    senders.until(202, new)
    assert senders.post("stripe", *senders.signed("stripe", event_of("stripe", 1), secret=old))[0] == 202
    newest = senders.rotate("stripe", overlap=0)
    senders.until(202, newest)
    for secret in (old, new):
        senders.until(401, secret)
    senders.ended()


def test_the_command_takes_a_secret_and_sends_a_sample(
    senders: Senders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", senders.stack.aws_endpoint_url)
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    place = ("--stack", STACK_NAME, "--region", senders.stack.region, "webhook")
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret of Square's own\n"))
    taken = say(capsys, *place, "secret", "rotate", "square", "--given", "--overlap", "0")
    assert (taken.status, taken.out) == (0, "")

    key = senders.one("dispatch_payment")
    sent = say(capsys, *place, "send", "square", "payment.updated", "--key", f"payments:{key}")

    assert sent.out.startswith("accepted: follow it with hybrid-sync status webhook-"), sent.err
    assert senders.ended()[sent.out.split()[-1]] == "SUCCEEDED"
    senders.rotate("square", overlap=0)


def test_an_event_that_comes_again_starts_nothing(senders: Senders) -> None:
    body, headers = senders.signed("clinic", event_of("clinic", senders.one("dispatch_payment")))
    first = senders.post("clinic", body, headers)
    runs = senders.ended()
    assert senders.post("clinic", body, headers) == first
    assert senders.ended() == runs


def test_a_burst_about_the_same_row_is_few_runs_when_its_turn_comes(senders: Senders) -> None:
    """While no slot is free, as `pause` has it: only those that come at the same moment do not see each other."""
    desk = Deployment.here(senders.stack)
    key, before = senders.one("dispatch_payment"), set(senders.ended())
    with psycopg.connect(senders.stack.legacy_dsn) as legacy:
        [(price,)] = legacy.execute(
            "update dispatch_payment set total_price = total_price + 1 where id = %s returning total_price", (key,)
        ).fetchall()
    events = [senders.signed("clinic", event_of("clinic", key)) for _ in range(BURST)]
    desk.ask("pause", PauseAsked(reason="a burst"), Jobs)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda event: senders.post("clinic", *event), events))
    finally:
        desk.ask("resume", JobsAsked(), Resumed)

    assert {status for status, _ in answers} == {202}
    assert len({said["run_id"] for _, said in answers}) == BURST
    runs = {run: status for run, status in senders.ended().items() if run not in before}
    assert 1 <= len(runs) <= AT_ONCE
    assert set(runs.values()) == {"SUCCEEDED"}
    with psycopg.connect(senders.stack.target_dsn) as target:
        assert target.execute("select total from payments where legacy_id = %s", (key,)).fetchall() == [(price,)]
