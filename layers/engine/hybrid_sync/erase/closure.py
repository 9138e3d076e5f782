"""All rows of a person: what refers to the named rows on either side, and the same person's other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import keyed, relations
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.erase.hashes import Place
from hybrid_sync.erase.plan import Lead, leads
from hybrid_sync.keys import among, belongs_to, key_columns, key_list, key_parts
from hybrid_sync.postgres import Connection, inside

Rows = dict[Place, set[Key]]


def closure(catalog: Catalog, named: Mapping[Place, Iterable[Key]], legacy: Connection, target: Connection) -> Rows:
    """The named rows and all that belong to the same person, by the references that the catalog lists under `of` and
    `same`; what one side alone has counts as well."""
    found: Rows = {}
    fresh: Rows = {place: set(keys) for place, keys in named.items() if keys}
    known = list(leads(catalog))
    while fresh:
        for place, keys in fresh.items():
            found.setdefault(place, set()).update(keys)
        new: Rows = {}
        for lead in known:
            if children_of := fresh.get(lead.parent):
                new.setdefault(lead.child, set()).update(_children(catalog, lead, children_of, legacy, target))
            if lead.same and (parents_of := fresh.get(lead.child)):
                new.setdefault(lead.parent, set()).update(_parents(catalog, lead, parents_of, legacy, target))
        fresh = {place: left for place, keys in new.items() if (left := keys - found.get(place, set()))}
    return found


def _children(catalog: Catalog, lead: Lead, keys: set[Key], legacy: Connection, target: Connection) -> set[Key]:
    source = catalog[lead.child[0]].sources[lead.child[1]]
    parts = key_parts([spliced(e) for e in source.key.values()])
    ours = sql.SQL("select array[{}] from {} where {} and {}").format(
        sql.SQL(", ").join(parts), relations(source), keyed(parts), among([lead.key], sorted(keys))
    )
    found = asked(catalog, lead.child[0], legacy, ours)
    left = stored(catalog, lead, target, "c", "p", keys) - found
    return found | (left - _placed_by_legacy(catalog, lead, legacy, left))


def _parents(catalog: Catalog, lead: Lead, keys: set[Key], legacy: Connection, target: Connection) -> set[Key]:
    source = catalog[lead.child[0]].sources[lead.child[1]]
    parts = key_parts([spliced(e) for e in source.key.values()])
    ours = sql.SQL("select array[{}] from {} where {} is not null and {}").format(
        lead.key, relations(source), lead.key, among(parts, sorted(keys))
    )
    left = keys - _placed_by_legacy(catalog, lead, legacy, keys)
    return asked(catalog, lead.child[0], legacy, ours) | stored(catalog, lead, target, "p", "c", left)


def _placed_by_legacy(catalog: Catalog, lead: Lead, legacy: Connection, keys: set[Key]) -> set[Key]:
    """The children whose parent legacy knows today: it may have moved them to another person since the last run."""
    source = catalog[lead.child[0]].sources[lead.child[1]]
    parts = key_parts([spliced(e) for e in source.key.values()])
    query = sql.SQL("select array[{}] from {} where {} is not null and {}").format(
        sql.SQL(", ").join(parts), relations(source), lead.key, among(parts, sorted(keys))
    )
    return asked(catalog, lead.child[0], legacy, query) if keys else set()


def asked(catalog: Catalog, entity: str, legacy: Connection, query: sql.Composed) -> set[Key]:
    """The keys that a query of legacy finds, looked up as the entity's expressions are."""
    path = catalog[entity].legacy_search_path
    with inside(legacy, "legacy", path=path):
        return {tuple(row[0]) for row in legacy.execute(query).fetchall()}


def stored(catalog: Catalog, lead: Lead, target: Connection, wanted: str, given: str, keys: set[Key]) -> set[Key]:
    """The keys of rows of the target: of children `c`, or of parents `p`, by the keys of the other."""
    places = {"c": lead.child, "p": lead.parent}
    sources = {alias: catalog[name].sources[source] for alias, (name, source) in places.items()}
    query = sql.SQL("select distinct array[{}] from {} c join {} p on p.id = c.{} where {} and {} and {}").format(
        key_list(key_columns(sources[wanted].key, wanted)), table(catalog[lead.child[0]].target),
        table(catalog[lead.parent[0]].target), sql.Identifier(lead.column), belongs_to(sources["c"], "c"),
        belongs_to(sources["p"], "p"), among(key_parts(key_columns(sources[given].key, given)), sorted(keys)),
    )  # fmt: skip
    return {tuple(row[0]) for row in target.execute(query).fetchall()}
