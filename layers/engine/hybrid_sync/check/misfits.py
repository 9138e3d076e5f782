"""What of an entity the databases do not have, or do not understand: every mistake, where it is written.

PostgreSQL itself resolves each expression on its own, so one that does not fit hides none of the others; nothing is
run, and no row is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from psycopg import sql
from psycopg.pq import DiagnosticField, ExecStatus

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations, table_of
from hybrid_sync.catalog.expressions import called
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.written import Written, written
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.rounds import alone
from hybrid_sync.schema.fitness import problems
from hybrid_sync.schema.legacy_names import schemas_of_types, warnings
from hybrid_sync.schema.target_structure import read_table


@dataclass(frozen=True)
class Misfit:
    """One sentence about a part of an entity's file; `doubtful` where only its author can decide."""

    path: tuple[object, ...]
    text: str
    doubtful: bool = False


def in_legacy(entity: Entity, legacy: Connection) -> Iterator[Misfit]:
    """What legacy does not have, or does not understand."""
    found: list[Misfit] = []
    with transaction(legacy, "legacy", read_only=True, path=entity.legacy_search_path):
        for name, source in entity.sources.items():
            missing = list(_missing_tables(source, legacy))
            found += [
                Misfit(("sources", name, *path), f"legacy has no table {relation}.") for path, relation in missing
            ]
            if not missing:
                found += _expressions(entity, name, legacy)
    yield from found
    if all(one.doubtful for one in found):
        yield from _meanings(entity, legacy)


def _expressions(entity: Entity, name: str, legacy: Connection) -> Iterator[Misfit]:
    """Of one source; behind a join that is wrong nothing else can be judged."""
    wrong_joins = False
    for one in written(entity):
        if one.source != name or (wrong_joins and one.use != "join"):
            continue
        for text, doubtful in _resolved(entity.sources[name], one, legacy):
            wrong_joins = wrong_joins or one.use == "join"
            yield Misfit(one.path, text, doubtful)


def _meanings(entity: Entity, legacy: Connection) -> Iterator[Misfit]:
    """Names that would mean something else by another search path, or that others can give another meaning."""
    path = () if entity.legacy_search_path is None else ("legacy_search_path",)
    try:
        with transaction(legacy, "legacy", read_only=True, path=entity.legacy_search_path):
            schemas = {name: alone(legacy, schemas_of_types(source)) for name, source in entity.sources.items()}
            warned = warnings(legacy, entity, schemas)
    except (StructureMismatch, MissingPrivilege) as error:
        yield Misfit(path, str(error))
        return
    for text in warned:
        yield Misfit(path, text, doubtful=True)


def in_target(entity: Entity, target: Connection) -> Iterator[Misfit]:
    """What the target table lacks, and what it does not take."""
    try:
        with transaction(target, "target", read_only=True):
            found = read_table(target, entity)
            yield from _marks(entity, found.columns, target)
            for problem in problems(target, entity, found):
                yield Misfit(("target",), str(problem))
    except (StructureMismatch, MissingPrivilege) as error:
        yield Misfit(("target",), str(error))


def _marks(entity: Entity, columns: Collection[str], target: Connection) -> Iterator[Misfit]:
    """What a soft delete sets."""
    for one in written(entity):
        if one.use == "mark" and one.column is not None and one.column in columns:
            statement = sql.SQL("update {} t set {} = {}").format(
                table(entity.target), sql.Identifier(one.column), raw(one.text)
            )
            if (said := _prepared(target, statement)[0]) is not None:
                yield Misfit(one.path, f"the target answers “{said}”.")


def _missing_tables(source: Source, legacy: Connection) -> Iterator[tuple[tuple[object, ...], str]]:
    named: list[tuple[tuple[object, ...], str]] = [(("from",), source.table.table)]
    named += [(("joins", i), join.table) for i, join in enumerate(source.joins)]
    named += [(("watch", i), watch.table) for i, watch in enumerate(source.watch)]
    for path, relation in named:
        if _prepared(legacy, sql.SQL("select from {}").format(table(relation)))[1] in ("42P01", "3F000"):
            yield path, relation


def _resolved(source: Source, one: Written, legacy: Connection) -> Iterator[tuple[str, bool]]:
    value = sql.SQL("({})").format(raw(one.text))
    match one.use:
        case "join":
            index = one.path[-1]
            assert isinstance(index, int), "a join is one of a list"
            upto = source.model_copy(update={"joins": source.joins[: index + 1]})
            statement = sql.SQL("select from {}").format(relations(upto))
        case "watch":
            index = one.path[-1]
            assert isinstance(index, int), "a watched table is one of a list"
            watch = source.watch[index]
            statement = sql.SQL("select from {} where exists (select from {} as {} where {})").format(
                relations(source), table(watch.table), sql.Identifier(watch.alias), value
            )
        case "condition":
            statement = sql.SQL("select from {} where {}").format(relations(source), value)
        case "key":
            statement = sql.SQL("select {} from {}").format(value, table_of(source))
        case _:
            statement = sql.SQL("select {} from {}").format(value, relations(source))
    said, _ = _prepared(legacy, statement)
    if said is not None:
        yield f"legacy answers “{said}”.", False
    elif one.use in ("value", "key"):
        yield from ((text, True) for text in _functions(one, legacy))


def _functions(one: Written, legacy: Connection) -> Iterator[str]:
    """Functions that legacy declares as volatile, or as giving sets: only their author knows whether that is so."""
    names = sorted(called(one.text))
    if not names:
        return
    rows = legacy.execute(
        "select distinct proname from pg_catalog.pg_proc where proname = any(%s)"
        " and (provolatile = 'v' or proretset) and pg_function_is_visible(oid)"
        " and not exists (select from pg_catalog.pg_proc p where p.proname = pg_proc.proname"
        "                 and not (p.provolatile = 'v' or p.proretset)) order by 1",
        (names,),
    ).fetchall()
    for (name,) in rows:
        yield f"legacy declares {name}() as volatile or as a set: if its value is the row's own, declare it stable."


def _prepared(connection: Connection, statement: sql.Composable) -> tuple[str | None, str | None]:
    """What the server says against the statement, and its SQLSTATE; it is parsed and analysed, never run."""
    connection.execute("savepoint misfit")  # opens the transaction, if nothing has
    result = connection.pgconn.prepare(b"", statement.as_bytes(connection))
    connection.execute("rollback to savepoint misfit")
    if result.status == ExecStatus.COMMAND_OK:
        return None, None
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
    # A literal of the catalog may stand in it, never a cell: no row has been read.
    return message or state, state
