"""Whatever is sent to the HTTP API: an answer of at most 64 kB, never the caller's text at length, and no failure of
its own: both databases are away, and nothing else may go wrong.

Seeded, so that what was found can be found again; the requests that once broke it come first.
"""

from __future__ import annotations

import base64
import json
import random
import string
from typing import Any
from urllib.parse import quote

import pytest

from hybrid_sync.contracts import OnFailure
from hybrid_sync.http.scopes import ON_FAILURE
from tests.unit.asking import Desk, event

LONGEST = 64 * 1024
REQUESTS = 2_000

_NUMBERS: list[Any] = [0, -1, 1, 2**63 - 1, -(2**63), 2**63, 10**30, 10**400, 1.5, -0.0, True, None, "1", "٣"]
_TEXTS = [
    "", " ", "'", '"', "%00", "\x00", "\u202e", "🐘", "a" * 5_000, "../..", "${jndi:x}", "<script>", "payments; drop",
    "\ud83d", "payments\n", "Payments",
]  # fmt: skip
_FAILED_BEFORE: list[tuple[str, str, str | None]] = [
    ("POST", "/v1/syncs", "[" * 10_000),
    ("POST", "/v1/syncs", '{"entities": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    ("POST", "/v1/syncs", json.dumps({"entities": ["payments"] * 100_000})),
    ("POST", "/v1/syncs", json.dumps({"entities": ["x" * 5_900_000]})),
    ("POST", "/v1/syncs", json.dumps({"x" * 60_000: 1})),
    ("POST", "/v1/syncs", json.dumps({f"k{i}": i for i in range(5_000)})),
    ("POST", "/v1/syncs", json.dumps({"refs": [{"entity": "payments", "legacy_id": 10**30}]})),
    ("POST", "/v1/syncs", '{"refs": [{"entity": "payments", "legacy_id": 1' + "0" * 5_000 + "}]}"),
    ("GET", "/v1/syncs/a b", None),
    ("GET", "/v1/syncs/it's", None),
    ("GET", "/v1/syncs/🐘", None),
    ("GET", "/v1/syncs/%00", None),
    ("GET", "//v1//health", None),
    ("GET", "/v1/syncs/", None),
    ("PUT", "/v1/syncs", "{}"),
    ("DELETE", "/", None),
    ("OPTIONS", "/v1/syncs", None),
]


def answered(desk: Desk, given: dict[str, Any]) -> dict[str, Any]:
    answer = desk.api.resolve(given)
    away = answer["statusCode"] == 503 and ("target_unavailable" in answer["body"] or '"down"' in answer["body"])
    assert answer["statusCode"] < 500 or away, given["path"]
    assert len(answer.get("body") or "") <= LONGEST
    if answer.get("body"):
        json.loads(answer["body"])
    return answer


@pytest.mark.parametrize(("method", "path", "body"), _FAILED_BEFORE)
def test_what_once_broke_it_is_refused(method: str, path: str, body: str | None) -> None:
    assert answered(Desk(), event(method, path, body, {}))["statusCode"] in (200, 400, 404, 413, 422)


class Fuzz:
    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        luck = self.luck
        kind = luck.random()
        if kind < 0.35 or depth > 4:
            return luck.choice(_NUMBERS)
        if kind < 0.7:
            return luck.choice([*_TEXTS, "payments", "orders", "case_messages", "comment", "critical", "hold"])
        if kind < 0.85:
            return [self.value(depth + 1) for _ in range(luck.randrange(5))]
        return {str(self.value(9)): self.value(depth + 1) for _ in range(luck.randrange(4))}

    def body(self) -> str | None:
        luck = self.luck
        kind = luck.random()
        if kind < 0.1:
            return luck.choice([None, "", "nonsense", "{", "[]", "1", "null", "NaN", '"x"', "\ufeff{}", "{}" * 3])
        if kind < 0.2:
            return "".join(luck.choice(string.printable) for _ in range(luck.randrange(300)))
        fields = ["entities", "refs", "priority", "include", "since", "until", "on_failure", "correlation_id", "x"]
        told: dict[str, Any] = {"entities": ["payments"]} if luck.random() < 0.5 else {}
        for _ in range(luck.randrange(4)):
            told[luck.choice(fields)] = self.value()
        if luck.random() < 0.4:
            told["refs"] = [
                {"entity": luck.choice(["payments", "role_permissions", self.value(9)]), "legacy_id": self.value(3)}
                for _ in range(luck.randrange(1, 4))
            ]
        return json.dumps(told)

    def event(self) -> dict[str, Any]:
        luck = self.luck
        part = luck.choice([*_TEXTS, "api-abc", "run-1", quote("a b/ç"), "x" * 81])
        path = luck.choice(
            [
                "/v1/syncs",
                "/v1/syncs",
                "/v1/syncs",
                f"/v1/syncs/{part}",
                f"/{part}",
                "/v1/health",
                "//v1",
                f"/v1/syncs/{part}/rollback",
                f"/v1/syncs/{part}/cancel",
                "/v1/failures/accept",
                f"/v1/records/people/{part}",
                f"/v1/records/{part}/1",
                f"/v1/syncs?cursor={quote(part, errors='replace')}",
                f"/v1/failures?{quote(part, errors='replace')}=1",
                f"/v1/entities/{part}/route?max_age_seconds={quote(part, errors='replace')}",
            ]
        )
        made = event(luck.choice(["POST", "POST", "POST", "GET", "PATCH", "HEAD"]), path, self.body(), {})
        if luck.random() < 0.2:
            made["headers"]["Idempotency-Key"] = luck.choice([*_TEXTS, "once"])
        if luck.random() < 0.05:
            made["isBase64Encoded"] = True
            made["body"] = luck.choice(
                ["!!!", base64.b64encode(b"\xff\xfe").decode(), base64.b64encode(b"{}").decode()]
            )
        if luck.random() < 0.05:
            made["headers"], made["multiValueHeaders"] = None, None
        if luck.random() < 0.03:
            made["requestContext"] = {"stage": "live"}
        return made


def test_two_thousand_requests_of_every_kind_are_answered() -> None:
    fuzz, desk = Fuzz(20261126), Desk()
    statuses: set[int] = set()
    for _ in range(REQUESTS):
        statuses.add(answered(desk, fuzz.event())["statusCode"])
    assert {202, 400, 404, 422} <= statuses  # the fuzz reaches past the first refusal


def test_a_long_report_is_told_without_its_lists() -> None:
    desk = Desk()
    _, told = desk.ask("POST", "/v1/syncs", {"entities": ["payments"]})
    run_id = told["run_id"]
    state = desk.starter.states[run_id]
    desk.starter.states[run_id] = type(state)(run_id, "succeeded", state.started_at, state.started_at)
    desk.reports.write(run_id, {"run_id": run_id, "status": "succeeded", "records": ["x" * 100] * 1_000})
    status, shown = desk.ask("GET", f"/v1/syncs/{run_id}")
    assert (status, shown["report"], shown["report_cut"]) == (
        200, {"run_id": run_id, "status": "succeeded"}, ["records"],
    )  # fmt: skip


@pytest.mark.parametrize("wish", [OnFailure.hold, OnFailure.rollback])
def test_what_becomes_of_a_failed_run_needs_a_scope_of_its_own(wish: OnFailure) -> None:
    desk = Desk()
    given = event("POST", "/v1/syncs", json.dumps({"entities": ["payments"], "on_failure": wish}), {})
    assert desk.send(given)[0] == 403
    given["requestContext"]["authorizer"]["scopes"] = f"syncs:write {ON_FAILURE}"
    assert desk.send(given)[0] == 202
    assert desk.only_run().on_failure is wish
