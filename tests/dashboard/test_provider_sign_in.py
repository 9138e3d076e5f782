"""A person signs in by a provider, and by a second factor: in a real browser, against Auth's stand-in, which proves the
challenge; and nobody else gets in on their code."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from hybrid_sync.dashboard import provider_sign_in
from hybrid_sync.dashboard.identity import SignIn
from hybrid_sync.dashboard.routes import Dashboard
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.jwks import Jwks
from hybrid_sync.http.people import People, Project
from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts
from hybrid_sync_cli.stack.supabase_auth.flows import totp
from hybrid_sync_cli.stack.supabase_auth.server import Auth, handler
from tests.browser.plugin import OpenPage, Visit
from tests.dashboard.conftest import HOST, Browser
from tests.dashboard.served import served
from tests.views.conftest import Looked

EMAIL = "operator@example.test"
SECRET = "an app's secret"


@dataclass
class Place:
    """A project and the dashboard of its people."""

    accounts: Accounts
    project: Project
    dashboard: Dashboard

    def browser(self) -> Browser:
        return Browser(self.dashboard)


@contextmanager
def project_at(folder: Path) -> Iterator[str]:
    """Auth's stand-in below the path of a project."""
    with ThreadingHTTPServer(("127.0.0.1", 0), None) as server:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{server.server_port}"

        class Below(handler(Auth(folder, url))):  # type: ignore[misc]
            def parse_request(self) -> bool:
                parsed = super().parse_request()
                self.path = getattr(self, "path", "").removeprefix("/auth/v1")
                return bool(parsed)

        server.RequestHandlerClass = Below
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield url
        finally:
            server.shutdown()


@pytest.fixture
def place(tmp_path: Path, recorded: str) -> Iterator[Callable[..., Place]]:
    with ExitStack() as opened:

        def made(**more: object) -> Place:
            accounts = Accounts(tmp_path, "a secret of thirty-two bytes and more")
            url = opened.enter_context(project_at(tmp_path))
            project = Project(url, None, "", ("google",), seal=b"sealed")
            project = replace(project, **more)  # type: ignore[arg-type]
            people = People(lambda: project, Jwks(time.monotonic), time.time)
            door = SignIn(None, people, lambda: project)  # type: ignore[arg-type]
            return Place(accounts, project, Dashboard(Looked(recorded), door))  # type: ignore[arg-type]

        yield made


def left(browser: Browser, page: str = f"https://{HOST}/live/dashboard/sign-in") -> dict[str, str]:
    """Where the browser is sent by a provider's button: the query."""
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "provider": "google", "next": "audit"}
    told = browser.post("/dashboard/sign-in", form, referer=page)
    assert told.status == 200, told.body
    address = told.body.partition('content="0;url=')[2].partition('"')[0].replace("&amp;", "&")
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_a_person_signs_in_by_a_provider_there_and_back(place: Callable[..., Place], open_page: OpenPage) -> None:
    here = place()
    with served(here.dashboard) as address:
        visit = open_page(f"{address}/audit")
        chosen(visit, address)
        visit.page.wait_for_url(f"{address}/audit")
        cookies = {one["name"]: one for one in visit.page.context.cookies()}
        assert all(one["httpOnly"] and one["secure"] for one in cookies.values())
        assert cookies[COOKIE]["sameSite"] == "Strict" and provider_sign_in.COOKIE not in cookies
        assert (visit.complaints, visit.barriers()) == ([], [])


def chosen(visit: Visit, address: str) -> None:
    """The button, and the provider's page."""
    visit.page.get_by_role("button", name="Sign in with Google").click()
    visit.page.get_by_role("link", name=EMAIL).click()


def test_an_operator_proves_a_second_factor_where_the_deployment_asks_for_it(
    place: Callable[..., Place], open_page: OpenPage
) -> None:
    here = place(second_factor=True)
    here.accounts.put(replace(here.accounts.users[EMAIL], totp=SECRET))
    with served(here.dashboard) as address:
        visit = open_page(f"{address}/audit")
        chosen(visit, address)
        field = visit.page.get_by_label("The six digits")
        field.fill("000000" if totp(SECRET, time.time()) != "000000" else "000001")
        assert visit.barriers() == []
        visit.page.get_by_role("button", name="Go on").click()
        visit.page.get_by_text("The code is not the right one").wait_for()
        chosen(visit, address)
        field.fill(totp(SECRET, time.time()))
        visit.page.get_by_role("button", name="Go on").click()
        visit.page.wait_for_url(f"{address}/audit")


@pytest.mark.parametrize(("role", "let_in"), [("viewer", True), ("operator", False), ("admin", False)])
def test_one_factor_is_enough_for_whoever_only_looks(place: Callable[..., Place], role: str, let_in: bool) -> None:
    here = place(second_factor=True)
    user = here.accounts.users[f"{role}@example.test"]
    browser = here.browser()
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "email": user.email, "password": user.password}
    told = browser.post("/dashboard/sign-in", form)
    assert (told.status, COOKIE in browser.cookies) == ((303, True) if let_in else (401, False))
    assert let_in or "enrol one" in told.body


def test_a_redirect_carries_a_challenge_and_leads_back_to_our_own_host_alone(place: Callable[..., Place]) -> None:
    browser = place().browser()
    asked = left(browser)
    assert asked["redirect_to"].startswith(f"https://{HOST}/live/dashboard/signed-in?state=")
    assert (asked["provider"], asked["code_challenge_method"], len(asked["code_challenge"])) == ("google", "s256", 43)
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "provider": "google"}
    for page in ("", "https://evil.example/dashboard/sign-in", f"http://{HOST}/dashboard/sign-in", f"https://{HOST}/x"):
        assert browser.post("/dashboard/sign-in", form, referer=page).status == 403, page
    form = {"csrf": browser.get("/dashboard/sign-in").csrf, "provider": "evil"}
    assert browser.post("/dashboard/sign-in", form, referer=f"https://{HOST}/dashboard/sign-in").status == 401


@pytest.mark.parametrize("wrong", ["nobody left", "state", "code", "cookie", "signature", "late"])
def test_whoever_did_not_leave_from_here_gets_nowhere(
    place: Callable[..., Place], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place()
    browser = here.browser()
    asked = left(browser)
    state = asked["redirect_to"].partition("state=")[2]
    query = {"state": state, "code": code(here, asked)}
    if wrong == "nobody left":
        del browser.cookies[provider_sign_in.COOKIE]
    elif wrong == "cookie":  # of another browser: its verifier is not this challenge's
        other = here.browser()
        left(other)
        browser.cookies[provider_sign_in.COOKIE] = other.cookies[provider_sign_in.COOKIE]
    elif wrong == "signature":  # whoever can write the cookie cannot sign it
        body, _, signature = browser.cookies[provider_sign_in.COOKIE].partition(".")
        browser.cookies[provider_sign_in.COOKIE] = f"{body}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}"
    elif wrong == "late":
        monkeypatch.setattr(provider_sign_in, "SECONDS", -1)
        query = {"state": left(browser)["redirect_to"].partition("state=")[2], "code": query["code"]}
    else:
        query[wrong] = "0" * 32
    told = browser.get("/dashboard/signed-in", query)
    assert (told.status, COOKIE in browser.cookies) == (401, False)


def test_a_code_serves_once_and_only_with_its_verifier(place: Callable[..., Place]) -> None:
    here = place()
    browser = here.browser()
    asked = left(browser)
    query = {"state": asked["redirect_to"].partition("state=")[2], "code": code(here, asked)}
    kept = browser.cookies[provider_sign_in.COOKIE]
    told = browser.get("/dashboard/signed-in", query)
    assert (told.status, COOKIE in browser.cookies, provider_sign_in.COOKIE in browser.cookies) == (200, True, False)
    assert 'content="0;url=./audit"' in told.body
    again = here.browser()
    again.cookies[provider_sign_in.COOKIE] = kept
    assert again.get("/dashboard/signed-in", query).status == 401
    theirs = code(here, asked)  # another code of the same challenge, with a verifier of somebody else's
    thief = here.browser()
    stolen = left(thief)["redirect_to"].partition("state=")[2]
    assert thief.get("/dashboard/signed-in", {"state": stolen, "code": theirs}).status == 401


def code(here: Place, asked: dict[str, str]) -> str:
    """What the provider gives the operator's browser."""
    url = urlsplit(here.project.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("GET", f"/auth/v1/authorize?{urlencode({**asked, 'redirect_to': 'http://127.0.0.1/'})}")
    page = connection.getresponse().read().decode()
    flow = page.partition("flow=")[2].partition("&")[0]
    connection.request("GET", f"/auth/v1/authorized?flow={flow}&email={EMAIL}")
    answer = connection.getresponse()
    place = answer.headers["Location"]
    answer.read()
    connection.close()
    return parse_qs(urlsplit(place).query)["code"][0]
