"""A held entity is marked in the target, where every batch looks before it writes."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.cli.conftest import Command

Store = psycopg.Connection[Any]


def held(store: Store) -> list[tuple[Any, ...]]:
    return store.execute("select entity, held, held_why from hybrid_sync.entity_state").fetchall()


def test_an_entity_is_held_and_released(store: Store, hybrid_sync: Command) -> None:
    assert hybrid_sync("hold", "payments", "--why", "restore in progress").status == 0
    assert held(store) == [("payments", True, "restore in progress")]

    assert hybrid_sync("release", "payments").status == 0
    assert held(store) == [("payments", False, None)]


def test_an_unknown_entity_cannot_be_held(store: Store, hybrid_sync: Command) -> None:
    said = hybrid_sync("hold", "nope", "--why", "x")

    assert said.status == 1
    assert said.err.startswith("hybrid-sync: There is no entity nope in the catalog.")
    assert held(store) == []


def test_one_wrong_name_releases_none_and_says_so(store: Store, hybrid_sync: Command) -> None:
    hybrid_sync("hold", "orders", "--why", "restore")
    said = hybrid_sync("release", "orders", "payments")
    assert said.err == "hybrid-sync: payments is not held: nothing was released, orders stays held too.\n"
    assert "orders" in hybrid_sync("holds").out


def test_releasing_what_is_not_held_is_one_sentence(store: Store, hybrid_sync: Command) -> None:
    assert hybrid_sync("release", "payments").err == "hybrid-sync: payments is not held: nothing to release.\n"
    said = hybrid_sync("release", "payments", "orders")
    assert said.err == "hybrid-sync: orders, payments are not held: nothing to release.\n"
