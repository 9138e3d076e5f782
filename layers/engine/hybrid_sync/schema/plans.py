"""An entity's compiled plans: catalog, legacy's types and the target's structure brought together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan, compile_source
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import AsPlanned, TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import Locked, MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection, inside, under_our_name
from hybrid_sync.rounds import K, Rounds, abreast, alone
from hybrid_sync.schema.codes import codes_in_rounds, enums_of, require_codes
from hybrid_sync.schema.fitness import require_fit
from hybrid_sync.schema.hidden_rows import hidden_rows
from hybrid_sync.schema.key_proof import proof_in_rounds
from hybrid_sync.schema.legacy_names import schemas_of_types, warnings
from hybrid_sync.schema.legacy_structure import Structure, digest_of_types, structure_in_rounds, types_in_rounds
from hybrid_sync.schema.target_structure import table_in_rounds, written_by
from hybrid_sync.session import Session, send_with_next


@dataclass(frozen=True)
class EntityPlan:
    """One entity ready to be read and written."""

    table: TargetTable
    sources: dict[str, ReadPlan]
    definition_hash: str
    """Of the catalog definition and the relations it reads; stored with the fence."""
    warnings: tuple[str, ...] = ()
    """What people should know of how it is read, in sentences."""
    hidden_rows: tuple[str, ...] = ()
    """Why rows of the target may be hidden from us, in sentences."""
    pages: int = 0
    """Of legacy's tables that it is read from, about."""
    erasures: int = 0
    """The number of the last erasure that the plan knows of."""

    @property
    def table_identity(self) -> str:
        """Of the target table and what is written of it."""
        return table_in(self.definition_hash)

    @property
    def as_planned(self) -> AsPlanned:
        """What the run's store keeps of it, for whoever carries or verifies the entity in another worker."""
        types = digest_of_types({source: plan.types for source, plan in self.sources.items()})
        return AsPlanned(self.definition_hash, types)


def table_in(definition: str) -> str:
    """The identity of the target table that a definition is of."""
    return definition.rpartition(":")[2]


_REMEMBERED = 64
_recent: OrderedDict[tuple[object, ...], EntityPlan] = OrderedDict()
_PATIENCE = sql.SQL("set local lock_timeout = '200ms'")
"""For a table of legacy that is not the one that is waited for."""
_ahead: OrderedDict[tuple[object, ...], None] = OrderedDict()
"""Runs, and where, of which this worker has compiled more than it was asked for, or has tried to."""


def plan_for(
    run_id: str, entity: str, catalog: Catalog, legacy: Connection, target: Connection, others: Iterable[str] = ()
) -> EntityPlan:
    """The entity's plan, compiled once per run in each warm worker; StructureMismatch when the two do not fit.

    With the first entity of a run the `others`, for which this worker will mostly be asked as well, are compiled:
    twelve together take what three take by themselves.
    """
    place = _place(run_id, entity, legacy, target)
    run = run_id, *place[2:]
    if place not in _recent and run not in _ahead and (more := set(others) - {entity}):
        _ahead[run] = None
        if len(_ahead) > _REMEMBERED:
            _ahead.popitem(last=False)
        compile_together(run_id, [entity, *sorted(more)][:_REMEMBERED], catalog, legacy, target, hurried=True)
    compile_together(run_id, [entity], catalog, legacy, target)
    return _recent.get(place) or _remember(place, compile_entity(entity, catalog, legacy, target))


def sizes(run_id: str, names: Iterable[str], legacy: Connection, target: Connection) -> dict[str, int]:
    """The pages of legacy from which each of these entities is read, of those whose plans are remembered."""
    found = ((name, _recent.get(_place(run_id, name, legacy, target))) for name in names)
    return {name: plan.pages for name, plan in found if plan is not None}


def forget(run_id: str, *entities: str) -> None:
    """Drop the plans of these entities in this run, because a table has changed or may have."""
    for place in [place for place in _recent if place[0] == run_id and place[1] in entities]:
        _recent.pop(place, None)


def _place(run_id: str, entity: str, legacy: Connection, target: Connection) -> tuple[object, ...]:
    return run_id, entity, *address(legacy), *address(target)


def _remember(place: tuple[object, ...], plan: EntityPlan) -> EntityPlan:
    _recent[place] = plan
    if len(_recent) > _REMEMBERED:
        _recent.popitem(last=False)
    return plan


def address(connection: Connection) -> tuple[bytes, ...]:
    """Which database the connection leads to, and as which role."""
    assert isinstance(connection, Session), "every connection of ours is one"
    return connection.address


def compile_entity(entity: str, catalog: Catalog, legacy: Connection, target: Connection) -> EntityPlan:
    """Compile without remembering; what does not fit is named by entity and catalog file."""
    try:
        return _compiled([entity], catalog, legacy, target, _one_by_one)[entity]
    except (StructureMismatch, MissingPrivilege) as error:
        raise type(error)(f"Entity {entity} ({catalog.file_of(entity)}): {error.message}", error.remedy) from None
    except psycopg.Error as error:
        known = under_our_name(error)
        if isinstance(known, StructureMismatch | MissingPrivilege):
            raise type(known)(f"Entity {entity} ({catalog.file_of(entity)}): {known.message}", known.remedy) from None
        if known is not None:  # nothing of the entity's: a server that is away, or busy, is tried again
            raise known from None
        raise StructureMismatch(
            f"Entity {entity} ({catalog.file_of(entity)}): a server does not take its statement ({error.sqlstate}).",
            "Look up the code; the entity may have too many columns, or an expression that is too deep.",
        ) from None


def compile_together(
    run_id: str,
    names: Iterable[str],
    catalog: Catalog,
    legacy: Connection,
    target: Connection,
    *,
    hurried: bool = False,
) -> None:
    """Compile these entities in a few round trips, and remember them; where one does not fit, or is locked, none.

    Each that is left is compiled by itself when it is asked for, and an error is then its own.  In no transaction.
    `hurried`: a lock in legacy is hardly waited for.
    """
    with suppress(StructureMismatch, MissingPrivilege, Locked, psycopg.Error):
        compile_all(run_id, names, catalog, legacy, target, hurried=hurried)


def compile_all(
    run_id: str,
    names: Iterable[str],
    catalog: Catalog,
    legacy: Connection,
    target: Connection,
    *,
    hurried: bool = False,
) -> None:
    """`compile_together`, also in open transactions; raises where one entity does not fit, without saying which."""
    places = {name: _place(run_id, name, legacy, target) for name in names}
    wanted = [name for name, place in places.items() if place not in _recent]
    if not wanted:  # as at nearly every step: neither database is asked anything
        return
    for name, plan in _compiled(wanted, catalog, legacy, target, abreast, hurried=hurried).items():
        _remember(places[name], plan)


def _one_by_one(connection: Connection, works: Mapping[K, Rounds[Any]]) -> dict[K, Any]:
    return {name: alone(connection, work) for name, work in works.items()}


_Ask = Callable[[Connection, Mapping[Any, Rounds[Any]]], dict[Any, Any]]


def _compiled(
    names: Sequence[str], catalog: Catalog, legacy: Connection, target: Connection, ask: _Ask, *, hurried: bool = False
) -> dict[str, EntityPlan]:
    """The plans of these entities; `ask` says whether their questions travel together.

    Both sides are asked at the same time; where both refuse, legacy's error is raised.
    """
    wanted = {name: catalog[name] for name in names}
    with ThreadPoolExecutor(max_workers=1) as beside:
        asked = beside.submit(_of_target, wanted, target, ask)
        facts, warned = _of_legacy(wanted, legacy, ask, hurried=hurried)
        tables, hidden = asked.result()
    return {
        name: _planned(
            name, catalog, {part: fact for (of, part), fact in facts.items() if of == name}, tables[name],
            warned[name], hidden[name],
        )
        for name in wanted
    }  # fmt: skip


def _of_legacy(
    wanted: Mapping[str, Entity], legacy: Connection, ask: _Ask, *, hurried: bool
) -> tuple[dict[tuple[str, _Part], Any], dict[str, tuple[str, ...]]]:
    """What legacy says of each entity, and what it warns of."""
    facts: dict[tuple[str, _Part], Any] = {}
    warned: dict[str, tuple[str, ...]] = {}
    for path in dict.fromkeys(entity.legacy_search_path for entity in wanted.values()):
        group = {name: entity for name, entity in wanted.items() if entity.legacy_search_path == path}
        # In a transaction, because only there the settings hold with which legacy refuses to hide rows.
        with inside(legacy, "legacy", path=path):
            if hurried:
                send_with_next(legacy, _PATIENCE)
            works = {(name, part): work for name, entity in group.items() for part, work in _works(entity).items()}
            for entity in group.values():
                for source in (s for s, definition in entity.sources.items() if enums_of(definition)):
                    if ask is abreast:
                        works[entity.entity, (source, "codes")] = codes_in_rounds(entity, source)
                    else:
                        require_codes(legacy, entity, source)  # says which code it is
            facts |= ask(legacy, works)
            for name, entity in group.items():
                warned[name] = warnings(legacy, entity, {s: facts[name, (s, "schemas")] for s in entity.sources})
    return facts, warned


def _of_target(
    wanted: Mapping[str, Entity], target: Connection, ask: _Ask
) -> tuple[dict[str, TargetTable], dict[str, tuple[str, ...]]]:
    """The table of each entity, which fits it, and which rows of it are hidden."""
    with inside(target, "target"):
        tables: dict[str, TargetTable] = ask(target, {name: table_in_rounds(one) for name, one in wanted.items()})
        for name, entity in wanted.items():
            require_fit(target, entity, tables[name])
        return tables, {name: hidden_rows(target, entity, tables[name]) for name, entity in wanted.items()}


_Part = tuple[str, str]
"""Source and question; the structure is asked of the entity as a whole."""


def _works(entity: Entity) -> dict[_Part, Rounds[Any]]:
    """What legacy is asked of an entity, in the order in which its errors are reported."""
    works: dict[_Part, Rounds[Any]] = {("", "structure"): structure_in_rounds(entity)}
    for name, source in entity.sources.items():
        works[name, "types"] = types_in_rounds(entity, name)
        works[name, "schemas"] = schemas_of_types(source)
        works[name, "proof"] = proof_in_rounds(source)
    return works


def _planned(
    entity: str,
    catalog: Catalog,
    found: Mapping[_Part, Any],
    table: TargetTable,
    *sentences: tuple[str, ...],
) -> EntityPlan:
    definition = catalog[entity]
    plans: dict[str, ReadPlan] = {}
    for name, source in definition.sources.items():
        parents = {p: catalog.source_of(p)[0] for r in source.references.values() for p in r.parents}
        compiled = compile_source(definition, name, table, found[name, "types"], parents)
        plans[name] = replace(compiled, unique=found[name, "proof"], types=found[name, "types"].as_asked)
    warned, hidden = sentences
    structure: Structure = found["", "structure"]
    warned = (*warned, *_unwatched(definition, structure), *_unsteady(definition, structure))
    written = written_by(definition)
    relations = f"{structure.hash}{table.labels_of(written)}{table.below}"
    defined = f"{catalog.hash_of(entity)}:{relations}:{table.identity_of(written)}"
    return EntityPlan(table, plans, defined, warned, hidden, structure.pages)


def _unsteady(entity: Entity, structure: Structure) -> tuple[str, ...]:
    return tuple(
        f"Entity {entity.entity} calls legacy's function {name}, which is not declared IMMUTABLE: where what it answers"
        " depends on more than its arguments, a weekly run sees the change, and no daily one."
        for name in structure.unsteady
    )


def _unwatched(entity: Entity, structure: Structure) -> tuple[str, ...]:
    """Of a view by timestamps it is for `changed_at` to say when what lies behind it has changed."""
    if entity.detect == "timestamp":
        return ()
    return tuple(
        f"Entity {entity.entity} reads legacy's {name} in an expression and does not watch it: what changes there alone"
        " is seen by a weekly run, and by no daily one. List it under `watch` with the rows on which it bears."
        for name in structure.unwatched
    )
