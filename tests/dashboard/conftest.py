"""The dashboard before a target of hand-written records, asked as API Gateway asks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from hybrid_sync.dashboard.identity import SignIn
from hybrid_sync.dashboard.routes import Dashboard
from hybrid_sync.dashboard.session import FORM, Opened, Visitor
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.services.roles import Role
from hybrid_sync_cli.stack import home
from tests.views.conftest import looked as looked
from tests.views.conftest import recorded as recorded
from tests.views.conftest import store as store

HOST = "dash.example.com"
PEOPLE = {f"token-of-{role.name}": role for role in Role}


class Door:
    """Who a token is, as its text says; one password, and one renewal."""

    knows_people = True
    providers: tuple[str, ...] = ()

    def prove(self, token: str) -> Visitor | None:
        role = PEOPLE.get(token)
        return None if role is None else Visitor(role.name, role)

    def by_password(self, email: str, password: str) -> Opened | None:
        return Opened("token-of-operator", "renewal-1") if (email, password) == ("ann@example.test", "right") else None

    def wants_second_factor(self, opened: Opened) -> bool:
        return False

    def renew(self, renewal: str) -> Opened | None:
        return Opened("token-of-operator", "renewal-2") if renewal == "renewal-1" else None


@dataclass
class Told:
    """An answer as a browser has it."""

    status: int
    body: str
    headers: dict[str, str]
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.body)
        assert found, "the page has no form"
        return found[1]

    @property
    def hidden(self) -> dict[str, str]:
        """What the page's last form carries besides."""
        form = self.body.rpartition("<form method")[2]
        found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
        return {name: value for name, value in found.items() if name not in ("csrf", "of")}


@dataclass
class Browser:
    """Keeps cookies, and says what a browser says of where a request comes from."""

    dashboard: Dashboard
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> Told:
        return self._send("GET", path, query or {}, None, headers)

    def post(self, path: str, form: dict[str, str], origin: str = f"https://{HOST}", **headers: str) -> Told:
        return self._send("POST", path, {}, urlencode(form), {"origin": origin, **headers})

    def _send(self, method: str, path: str, query: dict[str, str], body: str | None, headers: dict[str, str]) -> Told:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"Host": HOST, "Cookie": cookie, **{name.replace("_", "-"): text for name, text in headers.items()}}
        event = {
            "httpMethod": method, "path": path, "resource": path, "headers": given, "body": body,
            "queryStringParameters": query or None, "isBase64Encoded": False,
            "requestContext": {"requestId": "r-1", "identity": {"sourceIp": "192.0.2.7"}},
        }  # fmt: skip
        answer = self.dashboard.resolve(event)
        lines: list[str] = answer["multiValueHeaders"].get("Set-Cookie", [])
        for line in lines:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies = {k: v for k, v in {**self.cookies, name: value}.items() if v}
        told = {line.partition("=")[0]: line for line in lines}
        # A number stays with its sign; to a reader it is a space all the same.
        return Told(answer["statusCode"], answer["body"].replace("\u00a0", " "), answer["headers"], told)


AsRole = Callable[[Role | None], Browser]


@pytest.fixture
def as_role(looked: Any) -> AsRole:
    """A browser of somebody with that role; of nobody with None."""

    def browser(role: Role | None) -> Browser:
        cookies = {} if role is None else {COOKIE: f"token-of-{role.name}", FORM: f"secret-of-{role.name}"}
        return Browser(Dashboard(looked, cast(SignIn, Door())), cookies)

    return browser


@pytest.fixture(autouse=True)
def vendored(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The layer's folder, as Lambda has it on its path."""
    monkeypatch.syspath_prepend(str(vendored_layer(tmp_path_factory)))


def vendored_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the layer's package in it."""
    place = tmp_path_factory.mktemp("layer")
    (place / "hybrid_sync_vendored").symlink_to(home.project_root() / "layers" / "vendored")
    return place
