"""A server of a version that nobody has tried is refused by name, before anything is asked of it."""

from __future__ import annotations

import pytest

from hybrid_sync import postgres
from hybrid_sync.errors import ConfigurationMissing
from tests.conftest import PASSWORD


def test_a_server_that_is_too_old_is_refused_by_name(legacy_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST", 99)
    with pytest.raises(ConfigurationMissing, match=r"^legacy is PostgreSQL 1\d, .* 99 and later") as caught:
        postgres.connect(legacy_db, "legacy")

    assert PASSWORD not in str(caught.value)


def test_thirteen_is_the_oldest() -> None:
    assert postgres.OLDEST == 13
