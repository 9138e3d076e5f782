"""Which credential of a request counts, and that a browser's cookie serves no other page."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.http.credentials import COOKIE, Credential, credential


def of(method: str = "GET", **headers: str | list[str]) -> Credential | None:
    """The credential of a request with these headers; `_` stands for `-`."""
    named: dict[str, Any] = {
        name.replace("_", "-"): value if isinstance(value, list) else [value] for name, value in headers.items()
    }
    return credential({"httpMethod": method, "multiValueHeaders": named})


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_bearer_counts_however_its_header_is_written(name: str, scheme: str) -> None:
    assert of("POST", **{name: f"{scheme} abc"}) == Credential("abc", False)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "abc", ["Bearer abc", "Bearer def"]])
def test_another_header_is_none_and_a_cookie_does_not_help_it(value: str | list[str]) -> None:
    assert of(Authorization=value, Cookie=f"{COOKIE}=abc") is None


def test_without_headers_there_is_none() -> None:
    assert credential({"httpMethod": "GET", "headers": None, "multiValueHeaders": None}) is None


def test_a_cookie_counts_among_others() -> None:
    assert of(Cookie=f"a=b; {COOKIE}=x.y=z; c") == Credential("x.y=z", True)


@pytest.mark.parametrize("cookie", [f"{COOKIE}=", f"{COOKIE}=a; {COOKIE}=b", [f"{COOKIE}=a", f"{COOKIE}=b"], "other=a"])
def test_no_cookie_of_ours_or_two_are_none(cookie: str | list[str]) -> None:
    assert of(Cookie=cookie) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_cookie_changes_something_only_from_a_page_of_ours(method: str) -> None:
    mine = f"{COOKIE}=abc"
    assert of(method, Cookie=mine, Sec_Fetch_Site="same-origin") == Credential("abc", True)
    for site in ("cross-site", "same-site", "none", ["same-origin", "cross-site"]):
        assert of(method, Cookie=mine, Sec_Fetch_Site=site) is None
    assert of(method, Cookie=mine) is None
