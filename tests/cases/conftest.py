"""The servers on which tests play cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases.ground import Servers, servers


@pytest.fixture(scope="session")
def ground(session_home: Path) -> Iterator[Servers]:
    with servers(session_home / "cases") as both:
        yield both
