"""Users and keys of the stand-in, in one private file: its process reads it anew for each request."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.supabase_auth.keys import Key
from hybrid_sync_cli.stack.supabase_auth.passwords import FILE

ROLE_CLAIM = "hybrid_sync_role"
# Who is there from the start; the last one has signed up by herself, and nobody has given her a role.
FIRST_USERS = {"viewer": "viewer", "operator": "operator", "admin": "admin", "visitor": None}


@dataclass(frozen=True)
class User:
    """Somebody who can sign in; `app_metadata` is an admin's to write, `user_metadata` the user's own."""

    user_id: str
    email: str
    password: str
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any] = field(default_factory=dict)
    banned: bool = False
    totp: str = ""
    """The secret of an app that proves them a second time."""


class Accounts:
    """The users and keys in the file; each change is written whole or not at all."""

    def __init__(self, folder: Path, jwt_secret: str | None = None) -> None:
        """The file in `folder`; made at its first use, with `jwt_secret` as the key of HS256."""
        self._file = StateFile(folder / FILE)
        if jwt_secret and not self._file.get("keys"):
            keys = (Key.new("ES256"), Key.new("RS256"), Key("shared", "HS256", jwt_secret))
            self._file.put("keys", [asdict(key) for key in keys])
            self._file.put("users", [asdict(_first(name, role)) for name, role in FIRST_USERS.items()])

    @property
    def keys(self) -> list[Key]:
        """The published keys; the first one signs."""
        return [Key(**key) for key in self._file.get("keys")]

    @property
    def users(self) -> dict[str, User]:
        """All users, by e-mail."""
        return {user["email"]: User(**user) for user in self._file.get("users")}

    def sign_with(self, algorithm: str) -> Key:
        """Sign with the key of that algorithm that is published already."""
        key = next(key for key in self.keys if key.algorithm == algorithm)
        self._file.put("keys", [asdict(one) for one in (key, *(one for one in self.keys if one != key))])
        return key

    def rotate(self, *, revoke: bool = False) -> Key:
        """Sign with a new key of the present algorithm; the one before stays published, unless it is revoked.

        The secret of HS256 is the project's, and stays.
        """
        before, *others = self.keys
        if before.algorithm == "HS256":
            return before
        key = Key.new(before.algorithm)
        self._file.put("keys", [asdict(one) for one in (key, *others, *([] if revoke else [before]))])
        return key

    def put(self, user: User) -> None:
        """Add the user, or change the one of that e-mail."""
        self._file.put("users", [asdict(one) for one in {**self.users, user.email: user}.values()])

    def ban(self, email: str, *, banned: bool = True) -> None:
        self.put(replace(self.users[email], banned=banned))


def new_user(email: str, role: str | None, **user_metadata: Any) -> User:
    """With a random password; `role` is one of ours, or None."""
    given = {} if role is None else {ROLE_CLAIM: role}
    metadata = {"provider": "email", "providers": ["email"], **given}
    return User(str(uuid.uuid4()), email, secrets.token_urlsafe(15), metadata, user_metadata)


def _first(name: str, role: str | None) -> User:
    return new_user(f"{name}@example.test", role)
