"""A critical event from end to end: a payment is taken in legacy, and the HTTP trigger carries it over at once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import psycopg

from hybrid_sync.http.scopes import USUAL_SCOPES
from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken, RevokeAsked, Revoked
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

PATIENCE = 180.0
"""Seconds that a run of two rows may take, cold starts included."""
PAUSE = 0.25

# The same customer pays again: every reference of the copy is known to lead somewhere.
_TAKE = """
insert into dispatch_payment (instruction_id, doctor_id, office_id, total_price, subtotal_price, paid_price,
  custom_price, additional_price, used_credit, tax_rate, tax_value, paid, canceled, free, installments, made_at)
select instruction_id, doctor_id, office_id, total_price, subtotal_price, paid_price, custom_price, additional_price,
       used_credit, tax_rate, tax_value, paid, canceled, free, installments, clock_timestamp()
from dispatch_payment where id = %s returning id
"""
_SOLD = "select legacy_id from purchases where legacy_id is not null and voided_at is null order by legacy_id desc"
_ARRIVED = """
select count(*) from payments p join purchases s on s.payment_id = p.id
where p.legacy_id = %(key)s and s.legacy_id = %(key)s
"""


@dataclass(frozen=True)
class Carried:
    """What happened to the payment; `seconds` from the request to the row's being seen in the target."""

    run_id: str
    legacy_id: int
    status: str
    arrived: bool
    seconds: float


def carry(stack: Stack) -> Carried:
    """Insert a payment into legacy, ask for it over HTTP with a token of its own, and wait for its run to end."""
    key = _take_payment(stack)
    deployment = Deployment.here(stack)
    asked = CreateAsked(name="demo", scopes=USUAL_SCOPES, days=1)
    token = deployment.ask("create-token", asked, CreatedToken)
    bearer = token.token
    try:
        began = time.monotonic()
        refs = [{"entity": entity, "legacy_id": key} for entity in ("payments", "purchases")]
        body = {"refs": refs, "priority": "critical", "include": "dependencies"}
        started = _call(stack, "POST", "/v1/syncs", bearer, body)
        run_id = str(started["run_id"])
        status = _wait(stack, run_id, bearer)
        arrived = _arrived(stack, key)
        return Carried(run_id, key, status, arrived, round(time.monotonic() - began, 2))
    finally:
        deployment.ask("revoke-token", RevokeAsked(token_id=token.id), Revoked)


def _take_payment(stack: Stack) -> int:
    with psycopg.connect(stack.target_dsn, autocommit=True) as target:
        sold = target.execute(_SOLD).fetchone()
    if sold is None:
        raise CliError("The target holds no purchase to repeat: run hybrid-sync sync --profile weekly first.")
    with psycopg.connect(stack.legacy_dsn, autocommit=True) as legacy:
        taken = legacy.execute(_TAKE, sold).fetchone()
    if taken is None:
        raise CliError("The last purchase's payment is gone from legacy: run hybrid-sync sync --profile weekly first.")
    return int(taken[0])


def _wait(stack: Stack, run_id: str, bearer: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while (status := str(_call(stack, "GET", f"/v1/syncs/{run_id}", bearer)["status"])) == "running":
        if time.monotonic() > deadline:
            raise CliError(f"Run {run_id} is still at work: look at it with hybrid-sync status {run_id}.")
        time.sleep(PAUSE)
    return status


def _arrived(stack: Stack, key: int) -> bool:
    with psycopg.connect(stack.target_dsn, autocommit=True) as target:
        found = target.execute(_ARRIVED, {"key": key}).fetchone()
    return found is not None and found[0] == 1


def _call(stack: Stack, method: str, path: str, bearer: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    url = urlsplit(stack.api_url + path)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.netloc, timeout=60)
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    try:
        connection.request(method, url.path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException) as error:
        raise CliError(f"The API does not answer ({type(error).__name__}): start it with hybrid-sync up.") from None
    finally:
        connection.close()
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise CliError(f"{method} {path} was answered with {answer.status}: {text[:300]}")
    found: dict[str, Any] = json.loads(text)
    return found
