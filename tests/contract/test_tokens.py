"""Service tokens: only a hash is kept, only a valid one opens, and a revoked one never again."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.errors import RequestRejected
from hybrid_sync.http.authorizer import Authorizer
from hybrid_sync.http.scopes import ON_FAILURE, READ, WRITE
from hybrid_sync.http.tokens import Tokens

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc123/live"


@pytest.fixture
def tokens(dynamodb: Any) -> Tokens:
    return Tokens("ids", dynamodb)


def answer(tokens: Tokens, presented: str | None, route: str = "POST/v1/syncs") -> dict[str, Any]:
    event = {"type": "TOKEN", "methodArn": f"{ARN}/{route}"}
    if presented is not None:
        event["authorizationToken"] = f"Bearer {presented}"
    return Authorizer(tokens).answer(event)


def allowed(given: dict[str, Any]) -> set[str]:
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


def test_the_policy_covers_all_routes_of_the_scopes_because_it_is_cached(tokens: Tokens) -> None:
    _, both = tokens.create("both")
    _, reader = tokens.create("reader", (READ,))
    _, writer = tokens.create("writer", (WRITE,))
    show, start = f"{ARN}/GET/v1/syncs/*", f"{ARN}/POST/v1/syncs"
    assert allowed(answer(tokens, both)) == allowed(answer(tokens, both, "GET/v1/syncs/x")) == {show, start}
    assert allowed(answer(tokens, reader)) == {show}
    assert allowed(answer(tokens, writer)) == {start}


@pytest.mark.parametrize("presented", [None, "", "hs_" + "a" * 12 + "_" + "b" * 43])
def test_no_or_an_unknown_token_is_denied_everything(tokens: Tokens, presented: str | None) -> None:
    given = answer(tokens, presented)
    [statement] = given["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Deny", [f"{ARN}/*"])


def test_the_caller_is_named_by_the_tokens_id(tokens: Tokens) -> None:
    token, readable = tokens.create("billing")
    assert answer(tokens, readable)["principalId"] == token.token_id


def test_a_token_ends_by_itself(tokens: Tokens, dynamodb: Any) -> None:
    token, readable = tokens.create("billing", days=1)
    assert (token.expires_at - token.created_at).days == 1
    assert tokens.check(readable) == token
    dynamodb.update_item(
        TableName="ids", Key={"pk": {"S": f"token/{token.token_id}"}}, UpdateExpression="set expires_at = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-01T00:00:00+00:00"}},
    )  # fmt: skip
    assert tokens.check(readable) is None
    assert allowed(answer(tokens, readable)) == set()


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
    assert answer(tokens, readable)["context"] == {"scopes": f"{WRITE} {ON_FAILURE}"}
