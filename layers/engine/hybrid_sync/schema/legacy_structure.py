"""What the catalog's relations and expressions really are in legacy, asked without reading a row."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.blame import primary
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.shape import NaturalTypes
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.pgtypes import ask_types
from hybrid_sync.postgres import Connection, Cursor, Question, answer
from hybrid_sync.rounds import Rounds, alike

# Every relation that the catalog names and, under it, its partitions and heirs, or the views that it is made of, all
# the way down. Row security is asked of what is named: a partition's own policies do not filter what is read through
# its parent. A view's text, which names other views and says nothing of theirs, and the expression of a generated
# column say what is read where no row carries a transaction id that would show it.
_RELATIONS = """
with recursive named (relation, at, oid) as (
  select n.relation, n.at, to_regclass(n.relation)::oid from unnest(%s::text[]) with ordinality as n(relation, at)
),
tree (relation, at, oid, below) as (
  select relation, at, oid, false from named where oid is not null
  union
  select t.relation, t.at, u.oid, true from tree t cross join lateral (
    select i.inhrelid from pg_inherits i where i.inhparent = t.oid
    union select b.oid from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    join pg_class b on d.refclassid = 'pg_class'::regclass and b.oid = d.refobjid and b.relkind in ('v', 'm')
    where r.ev_class = t.oid and r.ev_type = '1' and b.oid <> t.oid
  ) as u(oid)
)
select t.relation, t.below, c.oid::bigint, n.nspname || '.' || c.relname, c.relkind::text,
       not t.below and row_security_active(c.oid),
       case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
       pg_get_expr(c.relpartbound, c.oid), greatest(c.relpages, 0),
       (select coalesce(json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnum,
                 case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end) order by a.attnum), '[]')
        from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from tree t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
order by t.at, t.below, c.oid
"""
# An enum's value is stored as a number: renaming a label changes what every row says, and touches none of them.
_LABELS = """
with recursive types (oid) as (
  select a.atttypid from pg_attribute a where a.attrelid = any(%s::oid[]) and a.attnum > 0 and not a.attisdropped
  union
  select u.oid from types t join pg_type y on y.oid = t.oid
  cross join lateral (
    select y.typelem union select y.typbasetype
    union select r.rngsubtype from pg_range r where r.rngtypid = y.oid
    union select a.atttypid from pg_attribute a where a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
  ) as u(oid)
  where u.oid <> 0
)
select t.oid::bigint, array_agg(e.enumlabel::text order by e.enumsortorder)
from types t join pg_enum e on e.enumtypid = t.oid group by t.oid order by t.oid
"""
T = TypeVar("T")
_QUALIFIED_CALL = re.compile(r"\.\s*(\w+|\"[^\"]+\")\s*\(")
_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}


@dataclass(frozen=True)
class _Relation:
    """One relation as legacy knows it; `below` where it is a partition or an heir of the one that is named."""

    named: str
    below: bool
    oid: int
    place: str
    kind: str
    filtered: bool
    """Row security applies to us."""
    view: str | None
    bound: str | None
    pages: int
    """By its statistics: asking for its files would wait for whoever has locked it."""
    columns: Any


def types_in_rounds(entity: Entity, source_name: str) -> Rounds[NaturalTypes]:
    """The type of each column, key and reference as legacy computes it; StructureMismatch names what it lacks."""
    source = entity.sources[source_name]
    integers = _integers(source)
    [types] = yield [ask_types_now(entity, source_name)]
    [found] = yield [ask_types(types)]
    return NaturalTypes(
        dict(zip(source.columns, found, strict=False)),
        dict(zip(integers, found[len(source.columns) :], strict=False)),
        found[-1] if _moments(source) else None,
        tuple(types),
    )


def ask_types_now(entity: Entity, source_name: str) -> Question[list[tuple[int, int]]]:
    """(OID, modifier) of each column, key and reference as legacy computes it."""
    source = entity.sources[source_name]
    wanted = len(source.columns) + len(_integers(source)) + len(_moments(source))
    return _asked(entity, source_name, sql.SQL("{} limit 0"), lambda found: _types(found, wanted))


def types_as_planned(entity: Entity, source_name: str, planned: Iterable[tuple[int, int]]) -> Question[None]:
    """Refuses where these are not what legacy computes now; as long as its transaction lasts nobody can change that."""
    asked, wanted = ask_types_now(entity, source_name), list(planned)

    def meaning(found: Cursor) -> None:
        if asked.meaning(found) != wanted:
            raise StructureMismatch(
                f"A column of legacy was given another type while the run was at work (entity {entity.entity}).",
                "Start the run again: it reads all rows.",
            )

    return Question(asked.query, asked.parameters, meaning, asked.refused)


def digest_of_types(types: Mapping[str, Iterable[tuple[int, int]]]) -> str:
    """What stands for the types by which the rows of an entity's sources are understood."""
    told = {source: [list(one) for one in asked] for source, asked in types.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _types(found: Cursor, wanted: int) -> list[tuple[int, int]]:
    result = found.pgresult
    assert result is not None, "a SELECT has a result"
    return [(result.ftype(i), result.fmod(i)) for i in range(wanted)]


def _integers(source: Source) -> list[str]:
    """The expressions that must be integers: keys, and the keys of parents."""
    return [*source.key.values(), *(p.key for r in source.references.values() for p in r.parents)]


def _moments(source: Source) -> list[str]:
    return [] if source.changed_at is None else [source.changed_at]


def asked(connection: Connection, entity: Entity, source_name: str, question: sql.SQL) -> list[tuple[Any, ...]]:
    """Ask about the SELECT of everything that the catalog writes about the source, its columns first."""
    return answer(connection, _asked(entity, source_name, question, lambda found: found.fetchall()))


def _asked(entity: Entity, source_name: str, question: sql.SQL, meaning: Callable[[Cursor], T]) -> Question[T]:
    query = _select(entity.sources[source_name])
    return Question(question.format(query), None, meaning, lambda error: _refusal(entity, source_name, error))


def _select(source: Source) -> sql.Composed:
    """Everything that the catalog writes about the source, its columns first."""
    probes: list[sql.Composable] = [column.value for column in source.columns.values()]
    probes += [spliced(e) for e in (*_integers(source), *_moments(source), *(rule.when for rule in source.rules))]
    return sql.SQL("select {} from {}").format(sql.SQL(", ").join(probes), relations(source))


def _refusal(entity: Entity, source_name: str, error: psycopg.Error) -> MissingPrivilege | StructureMismatch:
    said = f"Entity {entity.entity}, source {source_name}: legacy answers “{primary(error)}”."
    if error.sqlstate == "42501":
        return MissingPrivilege(
            said, "Grant SELECT to the legacy role; where row security hides rows from it, use a role with BYPASSRLS."
        )
    if error.sqlstate in ("42P01", "42883", "42704") and entity.legacy_search_path is None:
        return StructureMismatch(
            said, "Write schema and name, as in public.orders, or list the schemas in `legacy_search_path`."
        )
    if error.sqlstate == "22P05":
        return StructureMismatch(
            f"Entity {entity.entity}, source {source_name}: the catalog writes a letter that legacy's encoding lacks.",
            "No value of legacy holds it: take the comparison or the code with that letter out.",
        )
    return StructureMismatch(said, "Correct the catalog, or the legacy table.")


@dataclass(frozen=True)
class Structure:
    """What an entity reads in legacy."""

    hash: str
    unwatched: tuple[str, ...]
    """Tables that only a subquery or a function of an expression reads: a change there touches none of its rows."""
    unsteady: tuple[str, ...] = ()
    """Functions of legacy that it calls, and of which nobody has said that they depend on their arguments alone."""
    pages: int = 0
    """Of its base tables, about."""


def structure_in_rounds(entity: Entity) -> Rounds[Structure]:
    """Its hash changes when what the entity reads is another relation, or has another partition, column or definition,
    or when a function that it calls does.

    StructureMismatch for a relation whose rows carry no usable transaction id, MissingPrivilege for one whose row
    security would hide rows: hidden rows look deleted.
    """
    named = {quoted: name for source in entity.sources.values() for quoted, name in named_by(source).items()}
    [found] = yield [_relations(named)]
    there = {relation.named for relation in found}
    for quoted, name in named.items():
        if quoted not in there:
            raise StructureMismatch(
                f"Legacy has no table {name}, which entity {entity.entity} reads.",
                "Correct the catalog, or grant the role USAGE on its schema.",
            )
    for relation in found:
        _require_whole(entity, relation, named[relation.named])
    explain = sql.SQL("explain (verbose, costs off, format json) {}")
    planned = yield [_asked(entity, source, explain, lambda rows: set(_planned(rows))) for source in entity.sources]
    unwatched: tuple[str, ...] = ()
    if beside := sorted({name for names in planned for name in names} - named.keys()):
        [more] = yield [_relations(beside)]
        known = {relation.oid for relation in found}
        unwatched = tuple(sorted({r.place for r in more if r.oid not in known and not r.below}))
        found = [*found, *more]
    oids = sorted({relation.oid for relation in found})
    [labels] = yield [alike(_LABELS, [("oid[]", oids)], list)]
    seen = [
        [r.named, r.oid, r.kind, r.bound, hashlib.sha256((r.view or "").encode()).hexdigest(), r.columns]
        for r in found
    ]  # fmt: skip
    parts: list[object] = [seen, labels]
    unsteady: tuple[str, ...] = ()
    if any(names := (_functions(entity), _behind_views(found))):
        from hybrid_sync.schema.legacy_functions import functions_named  # seldom

        functions = yield [functions_named(some) for some in names]
        parts += [[[f.oid, f.name, f.body] for f in some] for some in functions if some]
        unsteady = tuple(sorted({f.name for f in functions[0] if not f.immutable}))
    hashed = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    bases = {table(source.table.table).as_string(None) for source in entity.sources.values()}
    return Structure(hashed, unwatched, unsteady, sum(r.pages for r in found if r.named in bases))


def _functions(entity: Entity) -> set[str]:
    """Names of functions that its expressions call and that may be legacy's own."""
    qualified = entity.legacy_search_path is None
    return _called([_select(source).as_string(None) for source in entity.sources.values()], qualified=qualified)


def _behind_views(found: Iterable[_Relation]) -> set[str]:
    """The same of what its views call; the server writes their texts with all schemas but its own."""
    return _called([relation.view for relation in found if relation.view], qualified=True)


def _called(texts: Sequence[str], *, qualified: bool) -> set[str]:
    if qualified and not any(_QUALIFIED_CALL.search(text) for text in texts):
        return set()
    from hybrid_sync.schema.legacy_functions import names_called  # seldom

    return {name for text in texts for name in names_called(text, qualified=qualified)}


def _relations(quoted: Iterable[str]) -> Question[list[_Relation]]:
    return alike(_RELATIONS, [("text[]", list(quoted))], lambda rows: [_Relation(*row) for row in rows])


def _planned(found: Cursor) -> Iterator[str]:
    """The relations that PostgreSQL itself would read for the source, those of subqueries and views included."""
    row = found.fetchone()
    assert row is not None, "a plan in JSON is one row"
    nodes = [row[0][0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Relation Name" in node:
            yield sql.Identifier(node["Schema"], node["Relation Name"]).as_string(None)


def _require_whole(entity: Entity, relation: _Relation, name: str) -> None:
    """Refuse a relation that may not show all of its rows."""
    shown = relation.place if relation.below else name
    if relation.filtered:
        raise MissingPrivilege(
            f"Row security hides rows of {shown} from the legacy role, so entity {entity.entity} cannot be read whole.",
            "Give the role BYPASSRLS, or read with another role.",
        )
    if relation.kind not in _KINDS:
        return
    what = f"{_KINDS[relation.kind]}{f' below {name}' if relation.below else ''}"
    if entity.detect == "commit_fence":
        raise StructureMismatch(
            f"{shown} is {what}, so its rows carry no transaction id for entity {entity.entity}.",
            "Name the tables behind it, or write `detect: timestamp`, and `view_is_whole` with the reason why it shows"
            " every row.",
        )
    if entity.view_is_whole is None:
        raise StructureMismatch(
            f"{shown} is {what}, and nothing shows which rows it hides from entity {entity.entity}.",
            "Name the tables behind it, or write `view_is_whole` with the reason why it shows every row.",
        )


def has_transaction_ids(connection: Connection, source: Source) -> bool:
    """Whether every relation that the source reads shows by xmin when a row was written."""
    return all(relation.kind not in _KINDS for relation in answer(connection, _relations(named_by(source))))


def named_by(source: Source) -> dict[str, str]:
    """The relations that the source names: with their schemas, as PostgreSQL writes them, and as the catalog does."""
    named = {source.table.table, *(j.table for j in source.joins), *(w.table for w in source.watch)}
    return {table(name).as_string(None): name for name in sorted(named)}
