"""A target with the engine's own tables, for reports over hand-written records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.report.records import create_schema


@pytest.fixture
def store(target_db: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty run store."""
    with psycopg.connect(target_db, autocommit=True) as connection:
        create_schema(connection)
        yield connection
