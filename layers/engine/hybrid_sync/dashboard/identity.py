"""Who may look: people of the Supabase project by their role, and programs' service tokens by their scopes."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_sync.dashboard.session import Opened, Visitor
from hybrid_sync.dashboard.supabase_auth import SupabaseAuth
from hybrid_sync.http.people import People, Project, Refused
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.http.tokens import PREFIX, Tokens
from hybrid_sync.services.roles import Role


class Doorkeeper:
    """`project` is whose people sign in; None where the deployment was told of none."""

    def __init__(self, tokens: Tokens, people: People, project: Callable[[], Project | None]) -> None:
        self._tokens = tokens
        self._people = people
        self._told = project

    def _project(self) -> SupabaseAuth | None:
        told = self._told()
        return SupabaseAuth(told.url, told.anon_key) if told else None

    @property
    def knows_people(self) -> bool:
        """Whether anybody can sign in by name."""
        return self._project() is not None

    def prove(self, token: str) -> Visitor | None:
        """Whose token it is; None where it proves nobody who may look."""
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

    def enter(self, email: str, password: str) -> Opened | None:
        """Sign somebody in."""
        project = self._project()
        return project.by_password(email, password) if project and email and password else None

    def renew(self, renewal: str) -> Opened | None:
        """Go on with a session whose access token has ended."""
        project = self._project()
        return project.by_renewal(renewal) if project and renewal else None
