"""With databases: PostgreSQL itself resolves every expression, and the target is looked at; nothing is run or read.

Each expression is prepared on its own, so one that does not fit hides none of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql
from psycopg.pq import DiagnosticField, ExecStatus

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations, table_of
from hybrid_sync.catalog.expressions import called
from hybrid_sync.catalog.load import Loaded
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.written import Written, written
from hybrid_sync.errors import MissingPrivilege, StructureMismatch, SyncError
from hybrid_sync.postgres import Connection, transaction, translated
from hybrid_sync.schema.fitness import problems
from hybrid_sync.schema.legacy_names import schemas_of_types, warnings
from hybrid_sync.schema.plans import compile_entity
from hybrid_sync.schema.target_structure import read_table
from hybrid_sync.session import alone
from hybrid_sync_cli.catalog_check.findings import Finding


def in_legacy(loaded: Loaded, name: str, legacy: Connection) -> Iterator[Finding]:
    """What legacy does not have, or does not understand."""
    entity: Entity = loaded.catalog[name]
    _look_up_in(legacy, entity.legacy_search_path or ("pg_catalog", "pg_temp"))
    found = False
    for source_name, source in entity.sources.items():
        missing = list(_missing_tables(source, legacy))
        for path, relation in missing:
            yield Finding(loaded.place(name, ("sources", source_name, *path)), f"legacy has no table {relation}.")
        if missing:
            found = True
            continue
        wrong_joins = False
        for one in written(entity):
            if one.source != source_name or (wrong_joins and one.use != "join"):
                continue
            for text, doubtful in _resolved(source, one, legacy):
                found = found or not doubtful
                wrong_joins = wrong_joins or one.use == "join"
                yield Finding(loaded.place(name, one.path), text, doubtful)
    if not found:
        yield from _meanings(loaded, name, legacy)


def _meanings(loaded: Loaded, name: str, legacy: Connection) -> Iterator[Finding]:
    """Names that would mean something else by another search path, or that others can give another meaning."""
    entity = loaded.catalog[name]
    place = loaded.place(name, () if entity.legacy_search_path is None else ("legacy_search_path",))
    try:
        with transaction(legacy, "legacy", read_only=True, path=entity.legacy_search_path):
            schemas = {name: alone(legacy, schemas_of_types(source)) for name, source in entity.sources.items()}
            told = warnings(legacy, entity, schemas)
    except (StructureMismatch, MissingPrivilege) as error:
        yield Finding(place, str(error))
        return
    for text in told:
        yield Finding(place, text, doubtful=True)


def in_target(loaded: Loaded, name: str, target: Connection) -> Iterator[Finding]:
    """What the target table lacks, and what it does not take."""
    entity = loaded.catalog[name]
    place = loaded.place(name, ("target",))
    _look_up_in(target, ("pg_catalog", "pg_temp"))
    try:
        with translated("target"):
            found = read_table(target, entity)
    except (StructureMismatch, MissingPrivilege) as error:
        yield Finding(place, str(error))
        return
    for problem in problems(target, entity, found):
        yield Finding(place, str(problem))
    for one in written(entity):
        if one.use == "mark" and one.column in found.columns:
            statement = sql.SQL("update {} t set {} = {}").format(
                table(entity.target), sql.Identifier(one.column), raw(one.text)
            )
            if (said := _prepared(target, statement)[0]) is not None:
                yield Finding(loaded.place(name, one.path), f"the target answers “{said}”.")


def together(loaded: Loaded, name: str, legacy: Connection, target: Connection) -> Iterator[Finding]:
    """What shows only where both meet: types that do not fit, codes that are none."""
    try:
        compile_entity(name, loaded.catalog, legacy, target)
    except SyncError as error:
        if not isinstance(error, StructureMismatch | MissingPrivilege):
            raise
        yield Finding(loaded.place(name), str(error))


def _look_up_in(connection: Connection, schemas: Sequence[str]) -> None:
    """For the session, which is the check's own: names mean here what they mean in a run."""
    path = sql.SQL(", ").join(map(sql.Identifier, schemas))
    connection.execute(sql.SQL("set search_path to {}").format(path))


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
    result = connection.pgconn.prepare(b"", statement.as_bytes(connection))
    if result.status == ExecStatus.COMMAND_OK:
        return None, None
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
    # A literal of the catalog may stand in it, never a cell: no row has been read.
    return message or state, state
