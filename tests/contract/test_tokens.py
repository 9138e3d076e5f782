"""Service tokens: only a hash is kept, only a valid one opens, and a revoked one never again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from hybrid_sync.errors import RequestRejected
from hybrid_sync.http.authorizer import Authorizer
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.people import Person, Refused
from hybrid_sync.http.scopes import ON_FAILURE, READ, SCOPES, WRITE
from hybrid_sync.http.tokens import Token, Tokens

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc123/live"


@pytest.fixture
def tokens(dynamodb: Any) -> Tokens:
    return Tokens("ids", dynamodb)


class Nobody:
    """No project whose people could sign in."""

    def check(self, token: str) -> Person:
        raise Refused("switched_off")


def answer(
    tokens: Tokens, presented: str | None, route: str = "POST /v1/syncs", **headers: str
) -> dict[str, Any] | None:
    """What the authorizer says to a request with this bearer."""
    method, path = route.split()
    given = {"Authorization": f"Bearer {presented}"} if presented is not None else {}
    event = {
        "type": "REQUEST", "methodArn": f"{ARN}/{method}{path}", "httpMethod": method,
        "resource": "/v1/syncs/{run_id}" if path.startswith("/v1/syncs/") else path,
        "multiValueHeaders": {name: [value] for name, value in {**given, **headers}.items()},
    }  # fmt: skip
    return Authorizer(tokens, Nobody(), {(e.method, e.path): e.scope for e in ENDPOINTS}).answer(event)


def allowed(given: dict[str, Any] | None) -> set[str]:
    assert given is not None
    [statement] = given["policyDocument"]["Statement"]
    return set(statement["Resource"]) if statement["Effect"] == "Allow" else set()


def test_a_new_token_is_accepted(tokens: Tokens) -> None:
    token, readable = tokens.create("billing")
    assert tokens.check(readable) == token
    assert token.name == "billing"


def test_the_table_holds_no_secret(tokens: Tokens, dynamodb: Any) -> None:
    _, readable = tokens.create("billing")
    secret = readable.split("_", 2)[2]
    assert secret not in str(dynamodb.scan(TableName="ids")["Items"])
    assert len(secret) == 43  # 256 bits


@pytest.mark.parametrize("wrong", ["", "hs_", "hs_x_y", "nonsense", "hs_" + "a" * 12 + "_" + "b" * 43])
def test_nonsense_and_unknown_tokens_are_refused(tokens: Tokens, wrong: str) -> None:
    assert tokens.check(wrong) is None


def test_another_secret_with_a_known_id_is_refused(tokens: Tokens) -> None:
    _, mine = tokens.create("mine")
    _, other = tokens.create("other")
    assert tokens.check(mine[:16] + other[16:]) is None


def test_a_revoked_token_is_refused_and_stays_listed(tokens: Tokens) -> None:
    token, readable = tokens.create("billing")
    assert tokens.revoke(token.token_id)
    assert tokens.check(readable) is None
    [listed] = tokens.list()
    first = listed.revoked_at
    assert first is not None
    assert tokens.revoke(token.token_id)
    assert tokens.list()[0].revoked_at == first


def test_revoking_what_is_not_there_says_so(tokens: Tokens) -> None:
    assert not tokens.revoke("000000000000")


@pytest.mark.parametrize(("name", "scopes"), [("", (READ,)), ("x", ()), ("x", ("everything",))])
def test_a_token_needs_a_name_and_known_scopes(tokens: Tokens, name: str, scopes: tuple[str, ...]) -> None:
    with pytest.raises(RequestRejected):
        tokens.create(name, scopes)


def test_a_policy_is_for_one_request_and_follows_from_its_scope(tokens: Tokens) -> None:
    _, reader = tokens.create("reader", (READ,))
    _, writer = tokens.create("writer", (WRITE,))
    show, start = "GET /v1/syncs/x", "POST /v1/syncs"
    assert allowed(answer(tokens, reader, show)) == {f"{ARN}/GET/v1/syncs/x"}
    assert allowed(answer(tokens, writer, start)) == {f"{ARN}/POST/v1/syncs"}
    assert allowed(answer(tokens, reader, start)) == allowed(answer(tokens, writer, show)) == set()


@pytest.mark.parametrize("route", ["GET /v1/health", "GET /v1/nothing", "DELETE /v1/syncs"])
def test_a_route_that_asks_for_no_scope_is_not_opened_by_one(tokens: Tokens, route: str) -> None:
    _, readable = tokens.create("all", SCOPES)
    assert allowed(answer(tokens, readable, route)) == set()


@pytest.mark.parametrize("presented", [None, "", "hs_" + "a" * 12 + "_" + "b" * 43])
def test_no_or_an_unknown_token_is_nobody(tokens: Tokens, presented: str | None) -> None:
    assert answer(tokens, presented) is None


def test_a_token_is_none_in_a_browsers_cookie(tokens: Tokens) -> None:
    _, readable = tokens.create("billing")
    assert answer(tokens, None, "GET /v1/syncs/x", Cookie=f"{COOKIE}={readable}") is None


def test_the_caller_is_named_by_the_tokens_id(tokens: Tokens) -> None:
    token, readable = tokens.create("billing")
    given = answer(tokens, readable)
    assert given is not None
    assert given["principalId"] == f"token:{token.token_id}"


def test_a_token_ends_by_itself(tokens: Tokens, dynamodb: Any) -> None:
    token, readable = tokens.create("billing", days=1)
    assert (token.expires_at - token.created_at).days == 1
    assert tokens.check(readable) == token
    dynamodb.update_item(
        TableName="ids", Key={"pk": {"S": f"token/{token.token_id}"}}, UpdateExpression="set expires_at = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-01T00:00:00+00:00"}},
    )  # fmt: skip
    assert tokens.check(readable) is None
    assert answer(tokens, readable) is None


def test_a_token_of_an_older_release_ends_a_year_after_it_was_made(tokens: Tokens, dynamodb: Any) -> None:
    token, readable = tokens.create("billing")
    dynamodb.update_item(
        TableName="ids", Key={"pk": {"S": f"token/{token.token_id}"}},
        UpdateExpression="set created_at = :then remove expires_at",
        ExpressionAttributeValues={":then": {"S": "2025-01-01T00:00:00+00:00"}},
    )  # fmt: skip
    assert tokens.check(readable) is None


@pytest.mark.parametrize("days", [0, -1, 731])
def test_a_token_lives_neither_for_ever_nor_for_nothing(tokens: Tokens, days: int) -> None:
    with pytest.raises(RequestRejected, match="between 1 and 730 days"):
        tokens.create("billing", days=days)


def test_undoing_what_failed_is_no_usual_scope(tokens: Tokens) -> None:
    usual, _ = tokens.create("billing")
    assert ON_FAILURE not in usual.scopes
    _, readable = tokens.create("operator", (WRITE, ON_FAILURE))
    given = answer(tokens, readable)
    assert given is not None
    assert given["context"] == {"scopes": f"{WRITE} {ON_FAILURE}", "role": ""}


def age(dynamodb: Any, token: Token, **moments: datetime) -> None:
    """What the table says happened to a token happened then."""
    for name, moment in moments.items():
        dynamodb.update_item(
            TableName="ids", Key={"pk": {"S": f"token/{token.token_id}"}}, UpdateExpression=f"set {name} = :then",
            ExpressionAttributeValues={":then": {"S": moment.isoformat()}},
        )  # fmt: skip


def test_a_rotated_token_is_the_same_caller_and_its_old_secret_opens_for_a_while(tokens: Tokens, dynamodb: Any) -> None:
    token, old = tokens.create("billing", days=30)
    changed, new = tokens.rotate(token.token_id, days=90, overlap_hours=1)
    assert (changed.token_id, changed.name, changed.scopes) == (token.token_id, token.name, token.scopes)
    assert (changed.expires_at - token.expires_at).days == 60
    assert old != new
    assert tokens.check(old) is not None and tokens.check(new) is not None

    age(dynamodb, token, old_secret_until=datetime.now(UTC))
    assert tokens.check(old) is None
    assert tokens.check(new) is not None


def test_a_secret_opens_no_longer_for_being_rotated(tokens: Tokens, dynamodb: Any) -> None:
    token, _ = tokens.create("billing")
    ends = datetime.now(UTC) + timedelta(minutes=5)
    age(dynamodb, token, expires_at=ends)
    changed, _ = tokens.rotate(token.token_id)
    assert changed.old_secret_until == ends


def test_a_leaked_secret_is_closed_at_once_and_the_one_before_the_last_by_the_next_rotation(tokens: Tokens) -> None:
    token, first = tokens.create("billing")
    _, second = tokens.rotate(token.token_id)
    _, third = tokens.rotate(token.token_id, overlap_hours=0)
    assert [tokens.check(one) is not None for one in (first, second, third)] == [False, False, True]


def test_revoking_closes_both_secrets(tokens: Tokens) -> None:
    token, old = tokens.create("billing")
    _, new = tokens.rotate(token.token_id)
    assert tokens.revoke(token.token_id)
    assert tokens.check(old) is tokens.check(new) is None


def test_only_what_opens_something_is_rotated(tokens: Tokens) -> None:
    token, _ = tokens.create("billing")
    tokens.revoke(token.token_id)
    for gone in (token.token_id, "000000000000"):
        with pytest.raises(RequestRejected, match="that opens anything"):
            tokens.rotate(gone)
    for hours in (-1, 169):
        with pytest.raises(RequestRejected, match="0 to 168 hours"):
            tokens.rotate(token.token_id, overlap_hours=hours)


def test_the_last_use_is_noted_and_at_most_once_an_hour(tokens: Tokens, dynamodb: Any) -> None:
    token, readable = tokens.create("billing")
    assert tokens.list()[0].used_at is None
    tokens.check(readable)
    first = tokens.list()[0].used_at
    assert first is not None
    tokens.check(readable)
    assert tokens.list()[0].used_at == first
    age(dynamodb, token, used_at=first - timedelta(hours=1))
    tokens.check(readable)
    assert tokens.list()[0].used_at > first


def test_a_use_that_cannot_be_noted_closes_nothing(tokens: Tokens, dynamodb: Any) -> None:
    class ReadOnly:
        exceptions = dynamodb.exceptions
        get_item = dynamodb.get_item

        def update_item(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="http://nowhere")

    _, readable = tokens.create("billing")
    assert Tokens("ids", ReadOnly()).check(readable) is not None
