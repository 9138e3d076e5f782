"""Nobody looks without a token, no form is sent by another page, and no script ever holds the token."""

from __future__ import annotations

import pytest

from hybrid_sync.dashboard.session import FORM, RENEWAL
from hybrid_sync.http.credentials import COOKIE as SESSION
from hybrid_sync.services.roles import Role
from tests.dashboard.conftest import HOST, AsRole
from tests.views.conftest import Looked

NOWHERE = "postgresql://worker:none@127.0.0.1:1/target"
PAGES = ("/dashboard", "/dashboard/runs/r1", "/dashboard/nowhere", "/dashboard/runs/r1/report")


@pytest.fixture
def looked() -> Looked:
    """Who may look is decided before any database is asked."""
    return Looked(NOWHERE)


@pytest.mark.parametrize("path", PAGES)
def test_whoever_has_not_signed_in_is_shown_the_way_in_and_nothing_else(as_role: AsRole, path: str) -> None:
    told = as_role(None).get(path)
    assert (told.status, told.body) == (303, "")
    assert "sign-in" in told.headers["Location"]


def test_a_token_opens_a_session_that_only_the_browser_holds(as_role: AsRole) -> None:
    browser = as_role(None)
    page = browser.get("/dashboard/sign-in", {"next": "runs/r1"})
    told = browser.post("/dashboard/sign-in", {"csrf": page.csrf, "token": "token-of-viewer", "next": "runs/r1"})

    assert (told.status, told.headers["Location"]) == (303, "./runs/r1")
    assert told.cookies[SESSION].endswith("; Path=/; HttpOnly; Secure; SameSite=Strict")
    assert told.cookies[FORM] != page.cookies[FORM]  # nobody brings a session's secret along
    assert RENEWAL not in browser.cookies
    seen = browser.get("/dashboard")
    assert seen.status == 200
    assert "token-of-viewer" not in seen.body


def test_a_wrong_token_is_told_so_and_opens_nothing(as_role: AsRole) -> None:
    browser = as_role(None)
    told = browser.post("/dashboard/sign-in", {"csrf": browser.get("/dashboard/sign-in").csrf, "token": "wrong"})
    assert told.status == 401
    assert "not let in here" in told.body
    assert SESSION not in browser.cookies


def test_a_person_signs_in_by_name_and_stays_signed_in_while_supabase_says_so(as_role: AsRole) -> None:
    browser = as_role(None)
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "email": "ann@example.test", "password": "right"}
    assert browser.post("/dashboard/sign-in", form).status == 303
    assert browser.cookies[RENEWAL] == "renewal-1"

    browser.cookies[SESSION] = "one that has ended"
    told = browser.get("/dashboard")
    assert told.status == 200
    assert (browser.cookies[SESSION], browser.cookies[RENEWAL]) == ("token-of-operator", "renewal-2")

    browser.cookies[SESSION] = "one that has ended"
    assert browser.get("/dashboard").status == 303


def test_a_wrong_password_is_told_no_more_than_that(as_role: AsRole) -> None:
    browser = as_role(None)
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "email": "ann@example.test", "password": "wrong"}
    told = browser.post("/dashboard/sign-in", form)
    assert (told.status, "E-mail and password let nobody in." in told.body) == (401, True)
    assert "ann@example.test" not in told.body and SESSION not in browser.cookies


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "..", "\\\\evil", "a/../../..", ""])
def test_the_way_in_leads_to_pages_of_ours_alone(as_role: AsRole, wanted: str) -> None:
    browser = as_role(None)
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "token": "token-of-viewer", "next": wanted}
    place = browser.post("/dashboard/sign-in", form).headers["Location"]
    assert place.startswith("./") and ":" not in place and ".." not in place.removeprefix("./../")


@pytest.mark.parametrize(
    ("origin", "changed"),
    [
        ("https://evil.example", {}), ("null", {}), ("", {}),
        (f"https://{HOST}", {"csrf": "0" * 64}), (f"https://{HOST}", {"csrf": ""}),
    ],
)  # fmt: skip
def test_a_form_of_another_page_or_session_does_nothing(as_role: AsRole, origin: str, changed: dict[str, str]) -> None:
    for path in ("/dashboard/sign-in", "/dashboard/sign-out"):
        browser = as_role(None if path.endswith("in") else Role.operator)
        page = browser.get("/dashboard/sign-in" if path.endswith("in") else "/dashboard")
        form = {"csrf": page.csrf, "token": "token-of-viewer", **changed}
        assert browser.post(path, form, origin=origin).status == 403
        assert (SESSION in browser.cookies) is path.endswith("out")


def test_a_form_of_another_persons_session_does_nothing(as_role: AsRole) -> None:
    theirs = as_role(Role.viewer).get("/dashboard").csrf
    assert as_role(Role.operator).post("/dashboard/sign-out", {"csrf": theirs}).status == 403


def test_signing_out_ends_the_session(as_role: AsRole) -> None:
    browser = as_role(Role.viewer)
    told = browser.post("/dashboard/sign-out", {"csrf": browser.get("/dashboard").csrf})
    assert (told.status, told.headers["Location"]) == (303, "./sign-in")
    assert browser.cookies == {}


def test_a_link_in_a_mail_asks_again_so_that_the_strict_cookie_comes_along(as_role: AsRole) -> None:
    browser = as_role(None)
    told = browser.get("/dashboard/runs/r1", sec_fetch_site="cross-site")
    assert (told.status, 'content="0;url=../runs/r1?again=1"' in told.body) == (200, True)
    again = browser.get("/dashboard/runs/r1", {"again": "1"}, sec_fetch_site="cross-site")
    assert again.status == 303


def test_every_answer_forbids_what_is_inline_or_of_others(as_role: AsRole) -> None:
    for told in (as_role(Role.viewer).get("/dashboard"), as_role(None).get("/dashboard/sign-in")):
        policy = told.headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'")
        assert " style=" not in told.body and "<style" not in told.body and " onclick" not in told.body
        assert (told.headers["Cache-Control"], told.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_an_open_page_whose_session_has_ended_is_led_to_the_way_in(as_role: AsRole) -> None:
    told = as_role(None).get("/dashboard", hx_request="true")
    assert told.headers["HX-Redirect"] == "dashboard/sign-in"


def test_a_form_that_is_too_long_is_refused_before_it_is_read(as_role: AsRole) -> None:
    assert as_role(None).post("/dashboard/sign-in", {"token": "x" * 20_000}).status == 413
