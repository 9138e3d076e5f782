"""A small world on the deployed stack, made by whichever module comes first."""

from __future__ import annotations

import psycopg

from hybrid_sync.schema.install import grant
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.sample import generate, marker
from hybrid_sync_cli.stack import Stack


def fill(stack: Stack) -> None:
    """Both databases hold the sample, and the functions may write it."""
    with psycopg.connect(stack.legacy_dsn) as legacy:
        filled = marker.found(legacy, "legacy") is not None
    if not filled:
        generate(stack.legacy_dsn, stack.target_dsn, 0.001, seed=7)
        grant(stack.target_dsn, catalog_of_project())
