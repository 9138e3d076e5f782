"""The read plan of an entity of which rows were erased: legacy's SELECT leaves them out, or pseudonymises them.

In the plan, and not behind it: whatever reads legacy by it (batches, retries, healing, settling, a few keys, counts,
checksums, money, the second look) sees an erased row as one that a rule excludes, or with the pseudonyms as its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import ReadPlan, Verdict, relations
from hybrid_sync.catalog.erasure import KEY
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.erase.hashes import Place
from hybrid_sync.keys import among, key_parts, key_table
from hybrid_sync.schema.plans import EntityPlan

ERASED = "erased"
"""The reason for which such a row is left out."""
Keys = Mapping[Place, Sequence[Key]]
"""The suppressed keys of each source."""


@dataclass(frozen=True)
class Lead:
    """A reference by which a row belongs to a person: the legacy expression of the parent's key, and the parent."""

    child: Place
    column: str
    key: sql.Composed
    parent: Place
    same: bool


def leads(catalog: Catalog, *, every: bool = False) -> Iterator[Lead]:
    """All of the catalog; `every` reference, whoever its row is about."""
    for name, entity in catalog.entities.items():
        own = entity.erasure.leads if entity.erasure is not None else ()
        same = entity.erasure.same if entity.erasure is not None else ()
        for source_name, source in entity.sources.items():
            for column in source.references if every else dict.fromkeys(own):
                for parent in source.references[column].parents:
                    place = parent.to, catalog.source_of(parent)[0]
                    key = key_parts([spliced(parent.key)])[0]
                    yield Lead((name, source_name), column, key, place, column in same)


def ancestors(catalog: Catalog, entity: str) -> set[str]:
    """The entity, and those to whose persons its rows may belong."""
    found, waiting = {entity}, [entity]
    parents: dict[str, set[str]] = {}
    for lead in leads(catalog):
        parents.setdefault(lead.child[0], set()).add(lead.parent[0])
    while waiting:
        new = parents.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def concerned(catalog: Catalog) -> list[str]:
    """Every entity that has rows of people, in the order of locks."""
    return [name for name, entity in catalog.entities.items() if entity.erasure is not None]


def without_erased(
    catalog: Catalog, entity: str, plan: EntityPlan, keys: Keys, merged: Keys, number: int
) -> EntityPlan:  # fmt: skip
    """The plan once the keys are known that erasures up to this one have suppressed: of persons, and of rows that were
    merged into others."""
    sources = {name: _source(catalog, (entity, name), one, keys, merged) for name, one in plan.sources.items()}
    return replace(plan, sources=sources, erasures=number)


def _source(catalog: Catalog, place: Place, plan: ReadPlan, keys: Keys, merged: Keys) -> ReadPlan:
    if gone := merged.get(place):
        source = catalog[place[0]].sources[place[1]]
        plan = _left_out(plan, among(key_parts([spliced(e) for e in source.key.values()]), gone))
    erasure = catalog[place[0]].erasure
    condition = _condition(catalog, place, keys)
    if condition is None or (erasure is not None and erasure.policy == "keep"):
        return plan
    if erasure is None or erasure.policy == "delete":  # without a policy any more: nobody comes back by its loss
        return _left_out(plan, condition)
    return _pseudonymised(plan, condition, erasure.set)


# --- which rows ------------------------------------------------------------------------------------------------------


def _condition(catalog: Catalog, place: Place, keys: Keys) -> sql.Composable | None:
    """That a legacy row is erased: by its key, or because it refers to a row that is; None where none is."""
    own = keys.get(place, ())
    source = catalog[place[0]].sources[place[1]]
    parts = [among(key_parts([spliced(e) for e in source.key.values()]), own)] if own else []
    parts += _by_parents(catalog, place, keys, (place,))
    return sql.SQL("({})").format(sql.SQL(" or ").join(parts)) if parts else None


def _by_parents(catalog: Catalog, place: Place, keys: Keys, path: tuple[Place, ...]) -> list[sql.Composable]:
    """Rows that came after the erasure are known by what they refer to, through rows that came after it as well."""
    parts: list[sql.Composable] = []
    for lead in leads(catalog):
        if lead.child != place or lead.parent in path:
            continue
        own = keys.get(lead.parent, ())
        if own:
            parts.append(sql.SQL("(({} in ({})) is true)").format(lead.key, key_table(own, 1)))
        if further := _by_parents(catalog, lead.parent, keys, (*path, lead.parent)):
            source = catalog[lead.parent[0]].sources[lead.parent[1]]
            key = key_parts([spliced(next(iter(source.key.values())))])[0]
            parts.append(
                sql.SQL("(({} in (select {} from {} where {})) is true)").format(
                    lead.key, key, relations(source), sql.SQL(" or ").join(further)
                )
            )
    return parts


# --- what becomes of them --------------------------------------------------------------------------------------------


def _left_out(plan: ReadPlan, erased: sql.Composable) -> ReadPlan:
    """The rule that leaves an erased row out, before all other rules: nothing else may be reported of it."""
    number = len(plan.verdicts)
    verdict = sql.SQL("case when {} then {}::int2 else {} end").format(erased, sql.Literal(number), plan.verdict_sql)
    return _with_fields(
        replace(
            plan, verdicts=(*plan.verdicts, Verdict("exclude", ERASED)), verdict_sql=verdict,
            excluded_sql=sql.SQL("({} or {})").format(erased, plan.excluded_sql),
            erased_sql=sql.SQL("({} or {})").format(erased, plan.erased_sql) if plan.erased_sql else erased,
        ),
        {len(plan.key_exprs): verdict},
    )  # fmt: skip


def _pseudonymised(plan: ReadPlan, erased: sql.Composable, pseudonyms: Mapping[str, str | None]) -> ReadPlan:
    columns = (*plan.checked, *plan.plain)
    first = len(plan.fields) - len(columns)
    fitted, fields = dict(plan.fitted), dict[int, sql.Composable]()
    for column, value in pseudonyms.items():
        if column not in columns:
            continue  # a column that people fill: set once, when the person is erased
        text = pseudonym(value, plan.key_exprs)

        def instead(usual: sql.Composable, text: sql.Composable = text) -> sql.Composed:
            return sql.SQL("case when {} then {} else {} end").format(erased, text, usual)

        was = fitted[column]
        fitted[column] = replace(was, expr=instead(was.expr), ours=instead(was.ours))
        fields[first + columns.index(column)] = fitted[column].expr
    return _with_fields(replace(plan, fitted=fitted), fields)


def pseudonym(value: str | None, key: Sequence[sql.Composable]) -> sql.Composable:
    """The value of a column of an erased row, whose legacy key has these parts."""
    if value is None or KEY not in value:
        return sql.Literal(value)
    shown = sql.SQL("concat_ws(',', {})").format(sql.SQL(", ").join(key))
    parts: list[sql.Composable] = []
    for i, text in enumerate(value.split(KEY)):
        parts += [shown, sql.Literal(text)] if i else [sql.Literal(text)]
    return sql.SQL("concat({})").format(sql.SQL(", ").join(parts))


def _with_fields(plan: ReadPlan, fields: Mapping[int, sql.Composable]) -> ReadPlan:
    selected = tuple(fields.get(i, field) for i, field in enumerate(plan.fields))
    return replace(plan, fields=selected, columns=sql.SQL(", ").join(selected))
