"""A short fuzz of the deployed API by its own document; `make api-fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from hybrid_sync.http.scopes import READ, WRITE
from hybrid_sync_cli.stack import Stack
from tests.fuzz.run import fuzz


def test_no_request_brings_the_api_to_an_error_of_its_own_and_answers_are_as_documented(
    deployed: Stack, tmp_path: Path
) -> None:
    # Without the scope of an operator nothing is started that other tests would meet: no whole run, no rollback.
    done = fuzz(deployed, (READ, WRITE), 4, 20261126, tmp_path, "coverage,fuzzing")
    assert done.passed, done.said
    assert done.requests > 100
