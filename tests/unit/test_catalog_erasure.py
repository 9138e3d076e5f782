"""A catalog whose erasures would spoil books or references is refused, with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.check import mistakes
from hybrid_sync.catalog.erasure import Erasure
from hybrid_sync.catalog.load import load
from tests.engine.erasures import POLICIES

DOMAIN = load(Path("tests/engine/domain/catalog"))


def texts(**changed: dict[str, Any] | None) -> str:
    entities = dict(DOMAIN.entities)
    for name, policy in {**POLICIES, **changed}.items():
        erasure = None if policy is None else Erasure.model_validate(policy)
        entities[name] = entities[name].model_copy(update={"erasure": erasure})
    return "\n".join(one.text for one in mistakes(entities))


def test_the_small_domain_is_sound() -> None:
    assert texts() == ""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"invoices": {"policy": "delete", "of": "visit_id"}}, "its money stands in the books"),
        ({"visits": {"policy": "delete", "of": "person_id"}}, "erasing visits deletes its rows"),
        ({"messages": None}, "person_id refers to people, whose rows can be erased: write `erasure:`"),
        ({"messages": {"policy": "delete", "of": "persn_id"}}, "persn_id is not among the references"),
        ({"people": {"policy": "pseudonymise", "set": {"legacy_id": None}}}, "legacy_id says which row this is"),
        ({"invoices": {"policy": "pseudonymise", "set": {"total": "0"}, "of": "visit_id"}}, "is money"),
        ({"people": {"policy": "pseudonymise", "set": {"email": None}, "same": "clinic_id"}}, "nobody said how"),
    ],
)
def test_a_mistake_is_named(changed: dict[str, Any], says: str) -> None:
    assert says in texts(**changed)


def test_how_people_are_erased_is_no_other_reading_of_an_entity() -> None:
    people = DOMAIN["people"].model_copy(update={"erasure": Erasure.model_validate(POLICIES["people"])})
    assert Catalog({"people": people}).hash_of("people") == DOMAIN.hash_of("people")
