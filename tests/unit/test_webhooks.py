"""Webhooks: whose signature opens the door, which rows an event is about, and what is refused without a word."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.admission.job import Job, new_job
from hybrid_sync.catalog.json_path import NotThere, put, steps, values
from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync.contracts import MAX_REFS, RunPriority, RunRequest
from hybrid_sync.errors import AwsUnavailable, CatalogError, ConfigurationMissing, QueueFull, RequestConflicts
from hybrid_sync.http.webhooks import LONGEST_BODY, Bus, Receiver
from hybrid_sync.webhooks.hint import sample_of
from hybrid_sync.webhooks.keyring import AGAIN_AFTER, KEPT_FOR, Keyring
from hybrid_sync.webhooks.signatures import KINDS, TOLERANCE, Secret
from tests.unit.test_api_fuzz import _NUMBERS, _TEXTS

CATALOG = load(Path("layers/catalog"))
WEBHOOKS = load_webhooks(CATALOG, Path("layers/catalog"))
ADDRESS = "https://api.example.com/live/v1/webhooks/square"
HOUR = timedelta(hours=1)
# An event of each source that is mapped, and the rows that it is about.
PAID = {"type": "payment.captured", "refs": [{"entity": "payments", "legacy_id": 17229}]}
ERASED = {"type": "patient.erased", "refs": [{"entity": "patients", "legacy_id": 17229}]}
EVENTS: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "clinic": (PAID, [("payments", 17229), ("purchases", 17229)]),
    "registry": (ERASED, [("patients", 17229)]),
    "supabase": ({"table": "orders", "type": "UPDATE", "record": {"legacy_id": 8}}, [("orders", 8)]),
    "square": (
        {
            "type": "payment.updated", "event_id": "e1",
            "data": {"object": {"payment": {"reference_id": "17229", "note": "for Ada"}}},
        },
        [("payments", 17229), ("purchases", 17229)],
    ),
    "stripe": (
        {"type": "charge.refunded", "id": "evt_1", "data": {"object": {"metadata": {"payment_id": "17229"}}}},
        [("payments", 17229), ("purchases", 17229)],
    ),
}  # fmt: skip
TIMED = ("clinic", "registry", "stripe")


class _NoValue(Exception):
    pass


class SecretStore:
    """What Secrets Manager keeps; each reading is counted."""

    class exceptions:  # noqa: N801 - as a client of AWS has it
        ResourceNotFoundException = _NoValue

    def __init__(self) -> None:
        self.text: str | None = None
        self.readings = 0

    def get_secret_value(self, **_: str) -> dict[str, str]:
        self.readings += 1
        if self.text is None:
            raise _NoValue
        return {"SecretString": self.text}

    def put_secret_value(self, **given: str) -> None:
        self.text = given["SecretString"]


class Gate:
    """Jobs by id, as the control table keeps them."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[RunRequest, str]] = {}
        self.fails: Exception | None = None

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job:
        if self.fails:
            raise self.fails
        if self.jobs.setdefault(job_id, (request, caller))[0] != request:
            raise RequestConflicts("This idempotency key was used for a different request.")
        return new_job(job_id, request, caller, datetime.now(UTC))


class Desk:
    """The door with a secret for each source, and the time, which the test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.store, self.gate = SecretStore(), Gate()
        self.admin = Keyring("secrets", self.store, lambda: self.now)
        self.secrets = {name: Secret(self._make(name), ADDRESS) for name in EVENTS}
        self.receiver, self.bus = self.worker(), Bus(WEBHOOKS, self.gate)

    def _make(self, name: str) -> str:
        made = KINDS[WEBHOOKS.webhooks[name].signed].make()
        self.admin.replace(name, made, ADDRESS, timedelta())
        return made

    def worker(self) -> Receiver:
        keyring = Keyring("secrets", self.store, lambda: self.now)
        return Receiver(WEBHOOKS, keyring, self.gate, lambda: self.now)

    def signed(
        self, name: str, document: Any, secret: Secret | None = None, at: datetime | None = None, number: str = "msg_1"
    ) -> dict[str, Any]:  # fmt: skip
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = KINDS[WEBHOOKS.webhooks[name].signed]
        headers = kind.sign(body, secret or self.secrets[name], number, at or self.now)
        return {
            "httpMethod": "POST", "pathParameters": {"source": name}, "headers": headers, "isBase64Encoded": False,
            "body": body.decode(),
        }  # fmt: skip

    def post(self, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = self.receiver.resolve(event)
        return answer["statusCode"], json.loads(answer["body"])

    def send(self, name: str, document: Any, **how: Any) -> int:
        return self.post(self.signed(name, document, **how))[0]

    @property
    def rows(self) -> list[list[tuple[str, Any]]]:
        return [[(ref.entity, ref.legacy_id) for ref in request.refs] for request, _ in self.gate.jobs.values()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("name", EVENTS)
def test_a_signed_event_starts_a_run_of_the_rows_that_it_names(desk: Desk, name: str) -> None:
    document, rows = EVENTS[name]
    status, said = desk.post(desk.signed(name, document))
    assert (status, said["status"]) == (202, "accepted")
    [(request, caller)] = desk.gate.jobs.values()
    assert desk.rows == [rows]
    assert (request.include, request.trigger, caller) == ("dependencies", "webhook", f"webhook:{name}")
    assert "Ada" not in request.model_dump_json()


def test_the_signatures_are_those_that_senders_document() -> None:
    """Made here by hand, from what each of them says that it signs."""
    body, key = b'{"a": 1}', b"0123456789abcdef"
    moment = datetime.fromtimestamp(1_795_914_000, UTC)

    def mac(secret: bytes, data: bytes) -> bytes:
        return hmac.new(secret, data, hashlib.sha256).digest()

    standard = KINDS[WEBHOOKS.webhooks["clinic"].signed]
    signed = standard.sign(body, Secret(f"whsec_{base64.b64encode(key).decode()}"), "msg_1", moment)
    assert signed["webhook-signature"] == f"v1,{base64.b64encode(mac(key, b'msg_1.1795914000.' + body)).decode()}"
    stripe = KINDS[WEBHOOKS.webhooks["stripe"].signed].sign(body, Secret("whsec_x"), "", moment)
    assert stripe == {"stripe-signature": f"t=1795914000,v1={mac(b'whsec_x', b'1795914000.' + body).hex()}"}
    square = KINDS[WEBHOOKS.webhooks["square"].signed].sign(body, Secret("key", ADDRESS), "", moment)
    assert square == {"x-square-hmacsha256-signature": base64.b64encode(mac(b"key", ADDRESS.encode() + body)).decode()}


def _without_signature(desk: Desk, name: str) -> dict[str, Any]:
    return desk.signed(name, EVENTS[name][0]) | {"headers": {}}


def _tampered(desk: Desk, name: str) -> dict[str, Any]:
    event = desk.signed(name, EVENTS[name][0])
    return event | {"body": event["body"].replace("17229", "17230")}


def _of_another_secret(desk: Desk, name: str) -> dict[str, Any]:
    return desk.signed(name, EVENTS[name][0], secret=Secret(KINDS[WEBHOOKS.webhooks[name].signed].make(), ADDRESS))


def _too_old(desk: Desk, name: str) -> dict[str, Any]:
    return desk.signed(name, EVENTS[name][0], at=desk.now - TOLERANCE - timedelta(seconds=2))


def _too_new(desk: Desk, name: str) -> dict[str, Any]:
    return desk.signed(name, EVENTS[name][0], at=desk.now + TOLERANCE + timedelta(seconds=30))


def _to_another_address(desk: Desk, name: str) -> dict[str, Any]:
    return desk.signed(name, EVENTS[name][0], secret=Secret(desk.secrets[name].text, "https://other.example.com"))


REFUSED: list[tuple[Callable[[Desk, str], dict[str, Any]], str]] = [
    *((_without_signature, name) for name in EVENTS),
    *((_tampered, name) for name in ("clinic", "registry", "stripe", "square")),
    *((_of_another_secret, name) for name in EVENTS),
    *((_too_old, name) for name in TIMED),
    *((_too_new, name) for name in TIMED),
    (_to_another_address, "square"),
]


@pytest.mark.parametrize(("forge", "name"), REFUSED)
def test_what_is_not_proved_is_refused_without_a_reason_and_starts_nothing(
    desk: Desk, forge: Callable[[Desk, str], dict[str, Any]], name: str
) -> None:
    status, said = desk.post(forge(desk, name))
    assert (status, said["detail"]) == (401, "The sender of this event is not proved.")
    assert desk.gate.jobs == {}


@pytest.mark.parametrize(
    "header", ["t=1", "v1=00", "t=1,t=2,v1=00", "t=x,v1=00", "t=-5,v1=00", "=,=,", "t=٣,v1=\ud83d"]
)
def test_a_header_of_any_shape_is_only_a_wrong_one(desk: Desk, header: str) -> None:
    for name in EVENTS:
        event = desk.signed(name, EVENTS[name][0])
        for wrong in (header, "v1,%%%", "v1,a,b", "v1", "", "whsec_"):
            event["headers"] = dict.fromkeys(event["headers"], wrong)
            assert desk.post(event)[0] == 401, (name, wrong)


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "-1", "x", "9" * 400])
def test_a_time_that_is_none_is_only_a_wrong_one(desk: Desk, number: str) -> None:
    event = desk.signed("clinic", PAID)
    event["headers"]["webhook-timestamp"] = number
    assert desk.post(event)[0] == 401


def test_an_unknown_source_is_compared_as_a_known_one_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for names finds none by the time that an answer takes."""
    compared: list[str] = []
    from hybrid_sync.http import webhooks

    monkeypatch.setattr(webhooks, "proved", lambda kind, received, held, now: compared.append(held[0].text) or False)
    known = desk.post(_of_another_secret(desk, "clinic"))
    readings = desk.store.readings
    desk.receiver = desk.worker()
    unknown = desk.post(desk.signed("clinic", PAID) | {"pathParameters": {"source": "nope"}})
    assert (known[0], unknown[0]) == (401, 404)
    assert len(compared) == 2 and desk.store.readings == readings + (readings - len(EVENTS))
    bus = desk.post(desk.signed("clinic", PAID) | {"pathParameters": {"source": "bus"}})
    assert bus == unknown


def test_a_source_without_a_secret_lets_nothing_in(desk: Desk) -> None:
    desk.store.text = "{}"
    for name in EVENTS:
        assert desk.send(name, EVENTS[name][0]) == 401
        nobodys = Secret("whsec_bm9ib2R5IGtub3dzIHRoaXM=", "")
        assert desk.send(name, EVENTS[name][0], secret=nobodys) == 401


def test_while_a_secret_is_exchanged_both_count_and_then_the_new_one_alone(desk: Desk) -> None:
    assert desk.send("stripe", EVENTS["stripe"][0]) == 202  # the worker knows the old one now
    new = Secret(KINDS[WEBHOOKS.webhooks["stripe"].signed].make())
    desk.now += AGAIN_AFTER * 2
    desk.admin.replace("stripe", new.text, "", HOUR)

    assert desk.send("stripe", EVENTS["stripe"][0], secret=new) == 202  # at once, although the worker knew another
    assert desk.send("stripe", EVENTS["stripe"][0]) == 202
    desk.now += HOUR
    assert desk.send("stripe", EVENTS["stripe"][0]) == 401
    assert desk.send("stripe", EVENTS["stripe"][0], secret=new) == 202


def test_whoever_guesses_makes_us_read_the_secrets_no_more_often(desk: Desk) -> None:
    desk.post(_of_another_secret(desk, "clinic"))
    before = desk.store.readings
    for _ in range(50):
        desk.post(_of_another_secret(desk, "clinic"))
    assert desk.store.readings == before
    desk.now += KEPT_FOR * 2
    desk.post(desk.signed("clinic", PAID))
    assert desk.store.readings == before + 1


@pytest.mark.parametrize("name", ["clinic", "stripe", "square"])
def test_an_event_that_comes_again_has_no_effect(desk: Desk, name: str) -> None:
    event = desk.signed(name, EVENTS[name][0])
    first, again = desk.post(event), desk.post(event)
    assert first == again and first[0] == 202
    # Its number is taken: another content is not looked at either.
    other = json.loads(json.dumps(EVENTS[name][0]).replace("17229", "5"))
    assert desk.send(name, other) == 202
    assert len(desk.gate.jobs) == 1


def test_two_sources_may_number_their_events_alike(desk: Desk) -> None:
    desk.send("stripe", EVENTS["stripe"][0] | {"id": "1"})
    desk.send("square", EVENTS["square"][0] | {"event_id": "1"})
    assert len(desk.gate.jobs) == 2


def test_a_sender_that_numbers_nothing_is_heard_each_time(desk: Desk) -> None:
    """The same row may change in the same way twice; the gate makes one run of those that wait."""
    event = desk.signed("supabase", EVENTS["supabase"][0])
    assert [desk.post(event)[0] for _ in range(2)] == [202, 202]
    assert len(desk.gate.jobs) == 2


def test_only_the_source_that_erases_can_have_somebody_erased(desk: Desk) -> None:
    assert desk.send("registry", ERASED) == desk.send("registry", ERASED) == 202
    merged = {"type": "patient.merged", "merged": [{"legacy_id": 5}], "survivor": {"legacy_id": 6}}
    assert desk.send("registry", merged, number="msg_2") == 202
    assert [(r.act, [ref.key for ref in r.refs]) for r, _ in desk.gate.jobs.values()] == [
        ("erase", [(17229,)]), ("merge", [(5,)])
    ]  # fmt: skip
    # A secret that is for other events is none for these, and its own source knows no such event.
    assert desk.send("registry", ERASED, secret=desk.secrets["clinic"], number="msg_3") == 401
    assert desk.post(desk.signed("clinic", ERASED, number="msg_4")) == (200, {"status": "ignored"})
    assert len(desk.gate.jobs) == 2


def test_an_event_that_is_mapped_to_nothing_is_ignored(desk: Desk) -> None:
    assert desk.post(desk.signed("clinic", {"type": "office.painted"})) == (200, {"status": "ignored"})
    assert desk.gate.jobs == {}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"[", 422, "no JSON object"),
        (b"[1]", 422, "no JSON object"),
        (b"[" * 100_000, 422, "no JSON object"),
        (b"{}", 422, "The event has no type."),
        (b'{"type": 5}', 422, "The event has no type."),
        (b'{"type": "payment.captured"}', 422, "The event has no refs where the key of payments is looked for"),
        (b'{"type": "payment.captured", "refs": []}', 422, "The event names 0 rows."),
        (b'{"type": "payment.captured", "refs": [{"entity": "payments"}]}', 422, "The event has no legacy_id"),
        (b'{"type": "payment.captured", "refs": [{"entity": "payments", "legacy_id": [5]}]}', 422, "has a list where"),
        (b'{"type": "role.revoked", "revoked": [{"role_id": 1, "permission_id": null}]}', 422, "no whole number"),
        (b"x" * (LONGEST_BODY + 1), 413, "longer than 262,144 bytes"),
    ],
)
def test_what_a_known_sender_gets_wrong_is_said(desk: Desk, body: bytes, status: int, says: str) -> None:
    answered, said = desk.post(desk.signed("clinic", body))
    assert answered == status and says in said["detail"]
    assert desk.gate.jobs == {}


def test_a_body_that_is_too_large_is_not_even_compared(desk: Desk) -> None:
    event = {"pathParameters": {"source": "nope"}, "headers": None, "body": "x" * (LONGEST_BODY + 1)}
    assert desk.post(event)[0] == 413
    assert desk.post(event | {"body": "%", "isBase64Encoded": True})[0] == 400


def test_a_body_may_come_as_base64(desk: Desk) -> None:
    event = desk.signed("clinic", PAID)
    event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    assert desk.post(event)[0] == 202


def test_an_event_about_too_many_rows_is_refused(desk: Desk) -> None:
    refs = [{"entity": "orders", "legacy_id": key} for key in range(MAX_REFS + 1)]
    assert desk.send("clinic", {"type": "order.submitted", "refs": refs}) == 422
    assert desk.send("clinic", {"type": "order.submitted", "refs": refs[:-1] + refs[:1]}) == 202


def test_a_composite_key_is_put_together_from_its_parts(desk: Desk) -> None:
    revoked = [{"role_id": 3, "permission_id": "41"}, {"role_id": 4, "permission_id": 41}]
    assert desk.send("clinic", {"type": "role.revoked", "revoked": revoked}) == 202
    assert desk.rows == [[("role_permissions", (3, 41)), ("role_permissions", (4, 41))]]
    [(request, _)] = desk.gate.jobs.values()
    assert request.priority is RunPriority.critical


@pytest.mark.parametrize(
    ("error", "status"), [(QueueFull("full"), 429), (AwsUnavailable("away"), 503), (ConfigurationMissing("gone"), 500)]
)
def test_a_sender_is_asked_to_come_again_only_when_that_helps(desk: Desk, error: Exception, status: int) -> None:
    desk.gate.fails = error
    assert desk.send("clinic", PAID) == status
    desk.gate.fails = None
    assert desk.send("clinic", PAID) == 202, "nothing remembers the event that was not heard"


def test_no_part_of_an_event_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    document = PAID | {"patient": "Ada Lovelace", "refs": [{"entity": "payments", "legacy_id": "Ada Lovelace"}]}
    desk.send("clinic", document)
    desk.send("clinic", PAID | {"patient": "Ada Lovelace"})
    desk.post(_tampered(desk, "square"))
    said = str([vars(record) for record in caplog.records])
    assert "event accepted" in said and "webhook refused" in said
    assert "Ada" not in said
    for name, secret in desk.secrets.items():
        assert secret.text not in said + repr(secret) + repr(desk.admin.open(name))


def test_an_event_of_the_bus_needs_no_signature(desk: Desk) -> None:
    event = {"id": "e-1", "detail-type": "order.submitted", "source": "any", "detail": {"order_id": 3}}
    heard = [desk.bus.heard(event) for _ in range(2)]
    assert [h.status for h in heard] == ["accepted", "accepted"]
    assert desk.rows == [[("orders", 3)]]
    assert desk.bus.heard(event | {"detail": {}}).status == "refused"
    assert desk.bus.heard(event | {"detail-type": "order.painted"}).status == "ignored"


@pytest.mark.parametrize("stands_in_the_way", [
    AwsUnavailable("away"), QueueFull("full"), ConfigurationMissing("refused"), LookupError("a mistake of ours"),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_an_event_of_the_bus_that_is_not_to_blame_is_kept(desk: Desk, stands_in_the_way: Exception) -> None:
    """Whoever sends by HTTP is told to come again; here nobody would, and only an alarm's queue keeps it."""
    desk.gate.fails = stands_in_the_way
    with pytest.raises(type(stands_in_the_way)):
        desk.bus.heard({"id": "e-1", "detail-type": "order.submitted", "detail": {"order_id": 3}})


def test_no_event_of_a_known_sender_is_an_internal_error(desk: Desk) -> None:
    """Any value in any place of an event: 500 random ones, seeded."""
    chance = random.Random(13)
    junk = [*_NUMBERS, *_TEXTS, [], {}, [[]], {"a": 1}, [PAID]]
    for _ in range(500):
        name = chance.choice(list(EVENTS))
        document = json.loads(json.dumps(EVENTS[name][0]))
        place = document
        while chance.random() < 0.6 and (inner := [v for v in place.values() if isinstance(v, dict)]):
            place = chance.choice(inner)
        place[chance.choice([*place, "refs"])] = chance.choice(junk)
        if chance.random() < 0.1:
            document = chance.choice(junk)
        assert desk.send(name, document, number=str(chance.random())) < 500, document


# --- the catalog's file ----------------------------------------------------------------------------------------------


def test_where_a_value_stands_is_found_and_put() -> None:
    document: dict[str, Any] = {}
    for path, value in (("a.b", 1), ("c[*].d", 2), ("c[*].e", 3), ("c[*].d", 4), ("f[g=h.i].j", 5), ("k[*]", 6)):
        put(document, path, value)
    assert document == {
        "a": {"b": 1}, "c": [{"d": 2, "e": 3}, {"d": 4}], "f": [{"g": "h.i", "j": 5}], "k": [6]
    }  # fmt: skip
    assert values(document, "c[*].d") == [2, 4]
    assert values(document, "f[g=h.i].j") == [5] and values(document, "f[g=x].j") == []
    for path in ("a.x", "a.b.c", "a[*].b", "c[*].e"):
        with pytest.raises(NotThere):
            values(document, path)


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", "a[", "a[]", "a[0]", "$.a", "a b", "a[b]", "a[b=]", "a[*][*]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="write names with dots between them"):
        steps(path)


def test_what_was_put_is_found() -> None:
    chance = random.Random(7)
    for _ in range(200):
        way = [f"{chance.choice('abc')}{chance.choice(('', '[*]', '[x=1]'))}" for _ in range(chance.randint(0, 4))]
        path = ".".join([*way, "value"])
        document: dict[str, Any] = {}
        put(document, path, 5)
        assert values(document, path) == [5], path


WRONG = {
    "entity: payments, key: id": None,
    "entity: payment, key: id": "there is no entity payment in the catalog: correct its spelling.",
    "entity: role_permissions, key: id": "a legacy key of role_permissions has 2 part(s), and `key` names 1.",
    "entity: case_messages, key: id": "case_messages has several sources: add `source:`, one of comment, record.",
    "entity: case_messages, source: note, key: id": "case_messages has no source note: choose from comment, record.",
    'entity: payments, key: "$.id"': "write names with dots between them",
    "entity: payments": "field required: add it.",
}


@pytest.mark.parametrize(("rows", "says"), WRONG.items())
def test_a_mistake_is_named_by_line_with_what_to_write(tmp_path: Path, rows: str, says: str | None) -> None:
    text = f"webhooks:\n  x:\n    signed: stripe\n    events:\n      paid:\n        rows:\n          - {{ {rows} }}\n"
    (tmp_path / "webhooks.yaml").write_text(text, "utf-8")
    if says is None:
        assert load_webhooks(CATALOG, tmp_path).webhooks["x"].events["paid"].rows[0].key == ("id",)
        return
    with pytest.raises(CatalogError) as raised:
        load_webhooks(CATALOG, tmp_path)
    assert raised.value.message.startswith("webhooks.yaml:7: ") and says in raised.value.message


def test_a_catalog_may_have_no_webhooks_and_one_bus_at_most(tmp_path: Path) -> None:
    assert load_webhooks(CATALOG, tmp_path).bus is None
    one = "signed: eventbridge\n    events: { a: { rows: [{ entity: payments, key: id }] } }\n"
    (tmp_path / "webhooks.yaml").write_text(f"webhooks:\n  x:\n    {one}  y:\n    {one}", "utf-8")
    with pytest.raises(CatalogError, match="only one source may be signed by eventbridge"):
        load_webhooks(CATALOG, tmp_path)


@pytest.mark.parametrize(
    ("signed", "events", "says"),
    [
        ("standard", "e: { act: erase, rows: [{ entity: patients, key: id }] }", None),
        (
            "square",
            "e: { act: erase, rows: [{ entity: patients, key: id }] }",
            "`signed` must be one of standard, stripe",
        ),
        ("supabase", "a.b: { act: merge, rows: [{ entity: patients, key: id }] }", "`signed` must be one of"),
        (
            "standard",
            "e: { act: erase, rows: [{ entity: patients, key: id }] }, f: { rows: [{ entity: patients, key: id }] }",
            "put such events into a source of their own",
        ),
        (
            "standard",
            "e: { act: erase, rows: [{ entity: profiles, key: id }] }",
            "events may not erase rows of profiles",
        ),
        ("standard", "e: { act: erase, rows: [{ entity: offices, key: id }] }", "events may not erase rows of offices"),
        ("standard", "e: { act: forget, rows: [{ entity: patients, key: id }] }", "act"),
    ],
)
def test_what_erases_has_a_source_of_its_own_and_the_entitys_word(
    tmp_path: Path, signed: str, events: str, says: str | None
) -> None:
    text = f"webhooks:\n  x:\n    signed: {signed}\n    events: {{ {events} }}\n"
    (tmp_path / "webhooks.yaml").write_text(text, "utf-8")
    if says is None:
        assert load_webhooks(CATALOG, tmp_path).webhooks["x"].events["e"].act == "erase"
        return
    with pytest.raises(CatalogError, match=says):
        load_webhooks(CATALOG, tmp_path)


@pytest.mark.parametrize("name", EVENTS)
def test_a_sample_is_an_event_of_its_sender(name: str) -> None:
    document, _ = EVENTS[name]
    event_type = f"{document['table']}.{document['type']}" if "table" in document else document["type"]
    sample = sample_of(WEBHOOKS.webhooks[name].signed, event_type, "n")
    assert sample.keys() <= document.keys() and {k: document[k] for k in sample if k in ("type", "table")}.items() <= (
        sample.items()
    )
