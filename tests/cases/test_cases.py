"""A part of the cases in every test run: of each kind every fifth; `make cases` plays them all."""

from __future__ import annotations

import pytest

from hybrid_sync_cli.stack import binaries
from tests.cases.case import lacks, names, read
from tests.cases.ground import Servers
from tests.cases.play import play

_EVERY = 5


def _part() -> list[str]:
    kinds: dict[str, list[str]] = {}
    for name in names():
        kinds.setdefault(name.partition("/")[0], []).append(name)
    return [name for cases in kinds.values() for name in cases[::_EVERY]]


@pytest.mark.parametrize("name", _part())
def test_a_case_holds(name: str, ground: Servers) -> None:
    case = read(name)
    if missing := lacks(case, binaries.find()):
        pytest.skip(missing)
    assert play(case, ground) == []


@pytest.mark.parametrize("name", names())
def test_a_case_can_be_read(name: str) -> None:
    assert read(name).why
