"""The offline copy of a deployment's secrets: private, whole, and behind what the environment says."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.here.secret_file import connections, read, write

HELD = {
    "deployment": "one", "id_secret": "secret", "legacy_dsn": "postgresql://l", "legacy_ca": "a CA",
    "target_dsn": "postgresql://t", "target_ca": "another CA", "supabase_jwt_secret": "no business of a run",
}  # fmt: skip


def test_it_holds_what_a_run_needs_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "copy.json"
    write(file, HELD)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read(file) == {name: value for name, value in HELD.items() if name != "supabase_jwt_secret"}


def test_without_an_id_secret_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no id secret yet"):
        write(tmp_path / "copy.json", {"legacy_dsn": "x"})
    assert not any(tmp_path.iterdir())


def test_the_environment_goes_first_and_another_server_has_another_certificate(tmp_path: Path) -> None:
    file = tmp_path / "copy.json"
    write(file, HELD)
    held = connections(file, {"HYBRID_SYNC_TARGET_DSN": "postgresql://elsewhere"})
    assert held.need("target_dsn") == "postgresql://elsewhere" and held.target_ca is None
    assert held.need("legacy_ca") == "a CA" and held.need("id_secret") == "secret"


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"id_secret": 5})])
def test_what_is_no_copy_is_refused_and_not_quoted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.json"
    file.touch(mode=0o600)
    file.write_text(text, "utf-8")
    with pytest.raises(CliError, match=r"is no copy of a deployment's secrets"):
        connections(file, {})


def test_each_missing_part_is_named_by_its_variable() -> None:
    with pytest.raises(CliError, match="set HYBRID_SYNC_LEGACY_DSN, HYBRID_SYNC_ID_SECRET"):
        connections(None, {"HYBRID_SYNC_TARGET_DSN": "x"})
