"""`make access` leaves nobody out, and docs/compliance.md promises nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hybrid_sync.http.scopes import SCOPES
from hybrid_sync.services.commands import COMMANDS
from tests.checks import templates
from tests.checks.access import lines

PAGE = Path("docs/compliance.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_who_may_do_what_is_told_of_every_function_role_and_scope() -> None:
    text = "\n".join(lines())
    for name in (*templates.functions(templates.load()), *COMMANDS, *SCOPES, "hybrid_sync_worker", "auth_user"):
        assert name in text
    assert "| PlanRun | s3:ListBucket | DataBucket under erasures/* |" in text


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_safeguard_names_a_test_that_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(def )?{name}\b", Path(file).read_text("utf-8"), re.MULTILINE), f"{file}::{name}"


def test_each_safeguard_has_a_test() -> None:
    rows = [row for row in PAGE.partition("## How long")[0].splitlines() if row.startswith("|")][2:]
    assert rows
    assert [row for row in rows if "::" not in row] == []
