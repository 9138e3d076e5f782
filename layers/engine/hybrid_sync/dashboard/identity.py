"""Who may look: people of the Supabase project by their role, and programs' service tokens by their scopes."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from hybrid_sync.dashboard import provider_sign_in
from hybrid_sync.dashboard.provider_sign_in import PendingSignIn
from hybrid_sync.dashboard.request import Request
from hybrid_sync.dashboard.session import Opened, Visitor
from hybrid_sync.dashboard.supabase_auth import SupabaseAuth
from hybrid_sync.http.people import People, Project, Refused, SecondFactorWanted
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.http.tokens import PREFIX, Tokens
from hybrid_sync.services.roles import Role


class SignIn:
    """`project` is whose people sign in; None where the deployment has none."""

    def __init__(self, tokens: Tokens, people: People, project: Callable[[], Project | None]) -> None:
        self._tokens = tokens
        self._people = people
        self._project = project
        self._now = time.time

    def _auth(self) -> SupabaseAuth | None:
        project = self._project()
        return SupabaseAuth(project.url, project.anon_key) if project else None

    @property
    def knows_people(self) -> bool:
        """Whether anybody can sign in by name."""
        return self._auth() is not None

    @property
    def providers(self) -> tuple[str, ...]:
        """Providers by which people may also sign in."""
        project = self._project()
        return project.providers if project else ()

    def prove(self, token: str) -> Visitor | None:
        """The visitor that the token stands for; None where it proves nobody who may see the dashboard."""
        if not token.startswith(PREFIX):
            try:
                person = self._people.check(token)
            except Refused:
                return None
            return Visitor(person.name, person.role)
        known = self._tokens.check(token)
        if known is None or READ not in known.scopes:
            return None
        return Visitor(f"token:{known.token_id}", Role.operator if OPERATE in known.scopes else Role.viewer)

    def by_password(self, email: str, password: str) -> Opened | None:
        """Sign in by address and password; None where they are not accepted."""
        auth = self._auth()
        return auth.by_password(email, password) if auth and email and password else None

    def to_provider(self, request: Request, provider: str) -> tuple[str, str] | None:
        """Where the provider's sign-in is, and a cookie for the way back; None for a provider that is not ours."""
        project = self._project()
        if project is None or provider not in project.providers:
            return None
        return provider_sign_in.redirect_to_provider(project, request, provider, self._now())

    def from_provider(self, request: Request) -> tuple[Opened | None, str]:
        """The session that a provider opened, and the page to go on to; None where this browser did not leave for
        the provider."""
        project, auth = self._project(), self._auth()
        going = provider_sign_in.pending_of(project, request, self._now()) if project else None
        code, state = request.query.get("code", ""), request.query.get("state", "")
        if going is None or auth is None or not (code and going.state):
            return None, ""
        if not hmac.compare_digest(state.encode(), going.state.encode()):
            return None, ""
        return auth.by_code(code, going.verifier), going.next

    def wants_second_factor(self, opened: Opened) -> bool:
        """Whether only that is missing."""
        try:
            self._people.check(opened.token)
        except SecondFactorWanted:
            return True
        except Refused:
            return False
        return False

    def await_second_factor(self, opened: Opened, wanted: str) -> str:
        """The cookie between the first and the second factor."""
        project = self._project()
        assert project is not None, "only people have two factors"
        going = PendingSignIn(
            self._now() + provider_sign_in.SECONDS, wanted, token=opened.token, factor=opened.factors[0]
        )
        return provider_sign_in.cookie_of(project, going)

    def by_second_factor(self, request: Request) -> tuple[Opened | None, str]:
        """A session of two factors for the code that the form carries, and where they wanted to go."""
        project, auth = self._project(), self._auth()
        going = provider_sign_in.pending_of(project, request, self._now()) if project else None
        if going is None or auth is None or not going.token:
            return None, ""
        code = request.form.get("code", "").replace(" ", "")
        return auth.by_second_factor(going.token, going.factor, code), going.next

    def renew(self, renewal: str) -> Opened | None:
        """Go on with a session whose access token has ended."""
        auth = self._auth()
        return auth.by_renewal(renewal) if auth and renewal else None
