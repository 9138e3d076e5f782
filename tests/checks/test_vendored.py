"""What others wrote and we ship is what the lock file says: nothing more, unchanged, under a licence that allows it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.checks.test_licences import permitted

FOLDER = Path("layers/vendored")
LOCK = json.loads((FOLDER / "vendored.json").read_text("utf-8"))
OURS = {"Makefile", "vendored.json"}


def digest(name: str) -> str:
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def test_every_file_stands_in_the_lock_and_nothing_else_does() -> None:
    there = {path.name for path in FOLDER.iterdir()} - OURS
    assert there == set(LOCK) | {entry["licence_file"] for entry in LOCK.values()}


@pytest.mark.parametrize("name", LOCK)
def test_a_file_is_what_its_version_has_and_may_be_shipped(name: str) -> None:
    entry = LOCK[name]
    assert entry["package"] and entry["version"] and entry["path"].endswith(name)
    assert digest(name) == entry["sha256"]
    assert digest(entry["licence_file"]) == entry["licence_sha256"]
    assert permitted(entry["licence"])


def test_no_file_asks_for_anything_elsewhere() -> None:
    for name in LOCK:
        assert "https://" not in (FOLDER / name).read_text("utf-8")
