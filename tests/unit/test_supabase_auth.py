"""The stand-in for Supabase Auth: users and keys stay in one private file, and a new key signs while the old proves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_sync.http.jwks import usable
from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts
from hybrid_sync_cli.stack.supabase_auth.passwords import FILE, passwords
from hybrid_sync_cli.stack.supabase_auth.server import Auth

URL = "http://127.0.0.1:1"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path, "a-secret-of-at-least-thirty-two-bytes")


def shown(folder: Path) -> set[str]:
    """The ids of the keys that are published."""
    status, document = Auth(folder, URL).answer("GET", "/.well-known/jwks.json", {}, {})
    assert status == 200
    return set(usable(json.dumps(document).encode()))


def test_users_and_keys_stay_and_are_their_owners_alone(accounts: Accounts, tmp_path: Path) -> None:
    again = Accounts(tmp_path, "another secret")
    assert (again.keys, again.users) == (accounts.keys, accounts.users)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    secrets = [user.password for user in accounts.users.values()]
    assert len(set(secrets)) == len(secrets) == 4
    assert passwords(tmp_path)["ADMIN_PASSWORD"] == accounts.users["admin@example.test"].password
    assert min(map(len, secrets)) == 20


def test_a_rotated_key_is_published_beside_the_one_before_until_that_is_revoked(
    accounts: Accounts, tmp_path: Path
) -> None:
    first = accounts.keys[0]
    second = accounts.rotate()
    assert accounts.keys[0] == second
    assert {first.key_id, second.key_id} < shown(tmp_path)
    third = accounts.rotate(revoke=True)
    assert third.key_id in shown(tmp_path)
    assert second.key_id not in shown(tmp_path)


def test_where_nothing_is_there_yet_nobody_has_a_password(tmp_path: Path) -> None:
    assert passwords(tmp_path) == {}


def test_no_secret_is_published(accounts: Accounts, tmp_path: Path) -> None:
    assert accounts.sign_with("HS256").algorithm == "HS256"
    assert shown(tmp_path) == {key.key_id for key in accounts.keys if key.algorithm != "HS256"}
    assert accounts.rotate() == accounts.keys[0], "the project's secret stays"


@pytest.mark.parametrize("grant", ["", "id_token", "pkce"])
def test_there_is_no_other_way_to_sign_in(accounts: Accounts, tmp_path: Path, grant: str) -> None:
    assert Auth(tmp_path, URL).answer("POST", "/token", {"grant_type": [grant]}, {})[0] == 400
    assert Auth(tmp_path, URL).answer("POST", "/signup", {}, {})[0] == 404
