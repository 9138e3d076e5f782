"""The small domain with people who can be erased: what a test needs to erase them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.erasure import Erasure
from hybrid_sync.contracts import Key
from hybrid_sync.erase.certificate import Certificate
from hybrid_sync.erase.erase import By, ErasureContext, erase
from hybrid_sync.erase.hashes import Hashes, Place
from hybrid_sync.postgres import transaction
from tests.engine.worlds import EngineWorld

PEOPLE = ("people", "person")
POLICIES: dict[str, dict[str, Any]] = {
    "people": {
        "policy": "pseudonymise",
        "set": {"email": "erased-{key}", "born": None, "settings": "{}", "internal_note": None},
    },
    "visits": {"policy": "pseudonymise", "set": {"note": None}, "of": ["person_id"]},
    "invoices": {"policy": "keep", "of": ["visit_id"]},
    "messages": {"policy": "delete", "of": ["person_id"]},
    "grants": {"policy": "delete", "of": ["person_id"]},
}  # fmt: skip


def with_erasure(world: EngineWorld, **changed: dict[str, Any] | None) -> None:
    """Give the entities their policies, but these others."""
    entities = dict(world.catalog.entities)
    for name, policy in {**POLICIES, **changed}.items():
        erasure = None if policy is None else Erasure.model_validate(policy)
        entities[name] = entities[name].model_copy(update={"erasure": erasure})
    world.catalog = Catalog(entities)


def erase_rows(world: EngineWorld, *keys: Key, place: Place = PEOPLE) -> Certificate:
    """Erase the persons of these rows."""
    with world.connect_legacy() as legacy, world.connect_target() as target, transaction(target, "target"):
        context = ErasureContext(world.catalog, Hashes(world.id_secret), world.erasures, legacy, target)
        return erase(context, {place: set(keys)}, By("somebody", "asked by letter", datetime.now(UTC)))
