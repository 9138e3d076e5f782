"""Waves of strands keep every parent before its children, and let nobody wait longer than waves of entities do."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Set

import pytest

from hybrid_sync.catalog.models import Entity, Money
from hybrid_sync.catalog.waves import costliest_first, endings, needed, strands, waves


def entity(name: str, *parents: str, deferred: Sequence[str] = (), priority: str = "normal") -> Entity:
    references = {
        f"{parent}_id": {"to": parent, "key": f"t.{parent}_id", "deferred": parent in deferred}
        for parent in (*parents, *deferred)
    }
    source = {
        "from": f"{name} t",
        "key": {"legacy_id": "t.id"},
        "columns": {"name": "t.name"},
        "references": references,
    }
    return Entity.model_validate({"entity": name, "target": name, "priority": priority, "sources": {"main": source}})


def catalog(*entities: Entity) -> dict[str, Entity]:
    return {one.entity: one for one in entities}


def ordered(entities: Mapping[str, Entity]) -> list[list[list[str]]]:
    return strands(entities, waves(entities))


SHOP = (
    entity("users"), entity("roles"), entity("offices", "users"), entity("log", "users"),
    entity("patients", "offices"), entity("cases", "patients", "offices", "users"),
    entity("files", "cases", "users"), entity("notes", "cases"), entity("pins", "files", "notes"),
)  # fmt: skip


def test_a_strand_goes_its_own_pace_beside_a_table_that_nothing_ties_to_it() -> None:
    assert ordered(catalog(*SHOP)) == [
        [["roles"], ["users"]],  # both of the next wave wait for one of them
        [["offices", "patients", "cases"], ["log"]],
        [["files"], ["notes"]],  # both wait for the cases
        [["pins"]],  # waits for both
    ]


def test_entities_in_a_line_are_one_strand() -> None:
    assert ordered(catalog(entity("a"), entity("b", "a"), entity("c", "b", "a"))) == [[["a", "b", "c"]]]


def test_a_deferred_reference_ties_too_since_its_foreign_key_locks_both_tables() -> None:
    tied = catalog(entity("a"), entity("b"), entity("c", "a", deferred=["b"]))
    assert ordered(tied) == [[["a"], ["b"]], [["c"]]]
    back = catalog(entity("a", deferred=["d"]), entity("b"), entity("d", "b"))
    assert ordered(back) == [[["a"], ["b"]], [["d"]]]


def test_the_more_urgent_strand_begins_first_then_the_longer_one() -> None:
    found = ordered(catalog(entity("a"), entity("b"), entity("c", "b"), entity("d", priority="critical")))
    assert found == [[["d"], ["b", "c"], ["a"]]]


def test_a_line_without_end_is_cut_so_that_its_message_can_be_read() -> None:
    line = catalog(entity("e00"), *(entity(f"e{n:02}", f"e{n - 1:02}") for n in range(1, 50)))
    assert [len(wave[0]) for wave in ordered(line)] == [20, 20, 10]


PAGES = {"users": 10, "roles": 2, "offices": 3, "log": 900, "patients": 9, "cases": 20, "files": 70, "notes": 60,
         "pins": 40, "tags": 30, "stamps": 8}  # fmt: skip
"""Of legacy's tables."""
TAGGED = (*SHOP, entity("tags", "cases"), entity("stamps", "cases"))


def test_an_entity_with_money_is_verified_before_one_of_as_many_pages() -> None:
    paid = catalog(*SHOP)
    paid["cases"] = paid["cases"].model_copy(
        update={"money": tuple(Money(column=c, constant_currency="EUR") for c in "pt")}
    )
    assert costliest_first(paid, ["users", "cases", "pins", "log", "roles"], PAGES) == [
        "log", "cases", "pins", "users", "roles"  # 900, 20 three times, 40, 10 and 2 pages
    ]  # fmt: skip


def test_what_nobody_waits_for_goes_beside_a_longer_strand_that_is_alone() -> None:
    tagged = catalog(*TAGGED)
    assert strands(tagged, waves(tagged), PAGES) == [
        [["users"]],
        [["offices", "patients", "cases"], ["log"]],
        [["files"], ["notes"]],
        [["pins"], ["tags"], ["stamps"], ["roles"]],  # as long as the pins together, and the log is longer
    ]
    assert strands(tagged, waves(tagged)) == [
        [["roles"], ["users"]],
        [["offices", "patients", "cases"], ["log"]],
        [["files"], ["notes"], ["stamps"], ["tags"]],
        [["pins"]],
    ]


def test_what_is_urgent_or_loaded_in_bulk_goes_no_later() -> None:
    urgent = catalog(*SHOP, entity("tags", "cases", priority="critical"), entity("stamps", "cases", priority="high"))
    assert strands(urgent, waves(urgent), PAGES)[2:] == [
        [["tags"], ["stamps"], ["files"], ["notes"]],
        [["pins"], ["roles"]],
    ]
    bulk = catalog(*TAGGED)
    assert strands(bulk, waves(bulk), PAGES, {"tags", "roles"})[2:] == [
        [["files"], ["notes"], ["tags"]],
        [["pins"], ["stamps"]],
    ]


def ended_beside(entities: Mapping[str, Entity], in_bulk: Set[str]) -> list[list[str]]:
    return endings(entities, ordered(entities), in_bulk)


def test_a_first_load_ends_beside_the_next_wave_where_nothing_there_is_tied_to_it() -> None:
    shop = catalog(*SHOP)
    # The roles have no children; users, cases, files and notes have some in the next wave, and offices in their strand.
    assert ended_beside(shop, shop.keys()) == [[], ["roles"], ["log"], []]


def test_a_load_as_usual_has_no_end_of_its_own() -> None:
    assert ended_beside(catalog(*SHOP), {"log", "users", "pins"}) == [[], [], ["log"], []]
    assert ended_beside(catalog(*SHOP), set()) == [[], [], [], []]


def test_a_deferred_reference_keeps_a_first_load_from_ending_beside_it() -> None:
    tied = catalog(entity("a", deferred=["c"]), entity("b"), entity("c", "b"))
    assert ordered(tied) == [[["a"], ["b"]], [["c"]]]
    assert ended_beside(tied, tied.keys()) == [[], []]


def ends(found: Sequence[Sequence[Sequence[str]]], seconds: Mapping[str, int]) -> dict[str, int]:
    """When each entity is done, with a lane for each strand."""
    done: dict[str, int] = {}
    begin = 0
    for wave in found:
        for strand in wave:
            now = begin
            for name in strand:
                now = done[name] = now + seconds[name]
        begin = max(done.values())
    return done


@pytest.mark.parametrize("seed", range(60))
def test_of_any_catalog_each_entity_goes_once_behind_its_parents_and_never_later(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"e{n}" for n in range(chance.randint(1, 9))]
    entities = catalog(
        *(entity(name, *(p for p in names[:n] if chance.random() < 1.2 / (n + 1))) for n, name in enumerate(names))
    )
    found = ordered(entities)
    assert sorted(name for wave in found for strand in wave for name in strand) == names
    seconds = {name: chance.randint(1, 9) for name in names}
    done = ends(found, seconds)
    assert all(done[p] <= done[name] - seconds[name] for name in names for p in needed(entities[name]))
    by_waves = ends([[[name] for name in wave] for wave in waves(entities)], seconds)
    assert all(done[name] <= by_waves[name] for name in names)
    moved = ends(strands(entities, waves(entities), seconds), seconds)
    assert all(moved[p] <= moved[name] - seconds[name] for name in names for p in needed(entities[name]))
    assert max(moved.values()) <= max(done.values())
