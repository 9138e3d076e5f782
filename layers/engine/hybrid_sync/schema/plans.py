"""An entity's compiled plans: catalog, legacy's types and the target's structure brought together."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan, compile_source
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection, inside, transaction
from hybrid_sync.schema.codes import require_codes
from hybrid_sync.schema.fitness import require_fit
from hybrid_sync.schema.hidden_rows import hidden_rows
from hybrid_sync.schema.key_proof import proves_key
from hybrid_sync.schema.legacy_names import warnings
from hybrid_sync.schema.legacy_structure import natural_types, structure_hash
from hybrid_sync.schema.target_structure import read_table


@dataclass(frozen=True)
class EntityPlan:
    """One entity ready to be read and written."""

    table: TargetTable
    sources: dict[str, ReadPlan]
    definition_hash: str
    """Of the catalog definition and the relations it reads; stored with the fence."""
    warnings: tuple[str, ...] = ()
    """What people should know of how it is read, in sentences."""


_REMEMBERED = 64
_recent: OrderedDict[tuple[object, ...], EntityPlan] = OrderedDict()


def plan_for(run_id: str, entity: str, catalog: Catalog, legacy: Connection, target: Connection) -> EntityPlan:
    """The entity's plan, compiled once per run in each warm worker; StructureMismatch when the two do not fit."""
    place = (run_id, entity, *_address(legacy), *_address(target))
    known = _recent.get(place)
    if known is None:
        known = _recent[place] = compile_entity(entity, catalog, legacy, target)
        if len(_recent) > _REMEMBERED:
            _recent.popitem(last=False)
    return known


def _address(connection: Connection) -> tuple[bytes, ...]:
    there = connection.pgconn
    return there.host, there.port, there.db, there.user


def compile_entity(entity: str, catalog: Catalog, legacy: Connection, target: Connection) -> EntityPlan:
    """Compile without remembering; what does not fit is named by entity and catalog file."""
    try:
        return _compiled(entity, catalog, legacy, target)
    except (StructureMismatch, MissingPrivilege) as error:
        raise type(error)(f"Entity {entity} ({catalog.file_of(entity)}): {error.message}", error.remedy) from None
    except psycopg.Error as error:
        raise StructureMismatch(
            f"Entity {entity} ({catalog.file_of(entity)}): a server does not take its statement ({error.sqlstate}).",
            "Look up the code; the entity may have too many columns, or an expression that is too deep.",
        ) from None


def _compiled(entity: str, catalog: Catalog, legacy: Connection, target: Connection) -> EntityPlan:
    definition = catalog[entity]
    # In a transaction, because only there the settings hold with which legacy refuses to hide rows.
    with transaction(legacy, "legacy", read_only=True, path=definition.legacy_search_path):
        for name in definition.sources:
            require_codes(legacy, definition, name)
        relations = structure_hash(legacy, definition)
        natural = {name: natural_types(legacy, definition, name) for name in definition.sources}
        warned = warnings(legacy, definition)
        proven = {name for name, source in definition.sources.items() if proves_key(legacy, source)}
    with inside(target, "target"):
        table = read_table(target, definition)
        require_fit(target, definition, table)
        warned += hidden_rows(target, definition, table)
    plans: dict[str, ReadPlan] = {}
    for name, source in definition.sources.items():
        parents = {p: catalog.source_of(p)[0] for r in source.references.values() for p in r.parents}
        compiled = compile_source(definition, name, table, natural[name], parents)
        plans[name] = replace(compiled, unique=name in proven)
    return EntityPlan(table, plans, f"{catalog.hash_of(entity)}:{relations}", warned)
