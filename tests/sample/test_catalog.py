"""Every catalog file fits both databases: each table, column, alias and pair of types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql

from hybrid_sync.catalog.compile import compile_source
from hybrid_sync.catalog.load import load, load_with_places
from hybrid_sync.catalog.models import Entity
from hybrid_sync.check.misfits import in_legacy, in_target
from hybrid_sync.postgres import connect
from hybrid_sync.rounds import Rounds, abreast, alone
from hybrid_sync.schema.key_proof import proof_in_rounds
from hybrid_sync.schema.legacy_names import schemas_of_types
from hybrid_sync.schema.legacy_structure import structure_in_rounds, types_in_rounds
from hybrid_sync.schema.plans import compile_entity
from hybrid_sync.schema.target_structure import read_table, table_in_rounds
from hybrid_sync_cli.catalog_check import syntax
from hybrid_sync_cli.stack import home
from tests.sample.conftest import Sampled

CATALOG = load(home.project_root() / "layers" / "catalog")


def test_every_source_compiles_against_both_databases_and_reads_all_its_rows(world: Sampled) -> None:
    with connect(world.legacy, "legacy") as legacy, connect(world.target, "target") as target:
        for name, entity in CATALOG.entities.items():
            table = read_table(target, entity)
            assert alone(legacy, structure_in_rounds(entity))
            for source_name, source in entity.sources.items():
                sources_of = {
                    parent: CATALOG.source_of(parent)[0]
                    for reference in source.references.values()
                    for parent in reference.parents
                }
                plan = compile_source(
                    entity, source_name, table, alone(legacy, types_in_rounds(entity, source_name)), sources_of
                )
                read = legacy.execute(plan.select(sql.SQL("true"))).rowcount
                # Joins neither lose rows nor double them.
                assert read == world.made["legacy"][source.table.table], f"{name}, {source_name}"


def test_entities_that_are_asked_for_together_are_what_each_is_alone(world: Sampled) -> None:
    legacy_works: list[Callable[[Entity], Rounds[Any]]] = [
        structure_in_rounds,
        lambda entity: proof_in_rounds(next(iter(entity.sources.values()))),
        lambda entity: schemas_of_types(next(iter(entity.sources.values()))),
        lambda entity: types_in_rounds(entity, next(iter(entity.sources))),
    ]
    with connect(world.legacy, "legacy") as legacy, connect(world.target, "target") as target:
        for connection, works in ((legacy, legacy_works), (target, [table_in_rounds])):
            for work in works:
                together = abreast(connection, {name: work(one) for name, one in CATALOG.entities.items()})
                assert together == {name: alone(connection, work(one)) for name, one in CATALOG.entities.items()}


def test_every_target_table_has_its_entity(world: Sampled) -> None:
    assert sorted(entity.target for entity in CATALOG.entities.values()) == sorted(world.made["target"])


def test_the_password_is_never_read() -> None:
    read = [s.model_dump_json() for e in CATALOG.entities.values() for s in e.sources.values()]
    assert not any("password" in source for source in read)


@pytest.mark.parametrize("entity", ["payments", "purchases", "operations", "orders"])
def test_money_takes_its_currency_from_the_row(entity: str) -> None:
    assert CATALOG[entity].money
    assert all(money.constant_currency is None and money.currency for money in CATALOG[entity].money)


def test_parents_come_in_earlier_waves() -> None:
    wave_of = {name: number for number, wave in enumerate(CATALOG.waves()) for name in wave}
    assert wave_of["profiles"] < wave_of["patients"] < wave_of["cases"] < wave_of["orders"] < wave_of["payments"]
    assert wave_of["case_messages"] < wave_of["message_attachments"]


def test_both_databases_find_nothing_wrong_with_it(world: Sampled) -> None:
    with connect(world.legacy, "legacy") as legacy, connect(world.target, "target") as target:
        found = [
            misfit
            for entity in CATALOG.entities.values()
            for misfit in (*in_legacy(entity, legacy), *in_target(entity, target))
        ]
        for name in CATALOG.entities:
            compile_entity(name, CATALOG, legacy, target)
    assert found == []


def test_the_parser_finds_nothing_wrong_with_it() -> None:
    assert list(syntax.findings(load_with_places(home.project_root() / "layers" / "catalog"))) == []
