"""What the servers leave us: connections, time for a statement, room on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from hybrid_sync.blame import Side
from hybrid_sync.catalog.place import split
from hybrid_sync.check.context import GIGABYTE, ProbeContext
from hybrid_sync.check.model import Finding, error, note, warning
from hybrid_sync.check.probe import probe

# `reset_val` is what a session begins with: role, database and server, before our transactions set their own.
_TIMEOUTS = "select name, reset_val::bigint from pg_settings where name = any(%s) and unit = 'ms'"
_CONNECTIONS = """
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int,
       (select sum(numbackends)::int from pg_stat_database),
       r.rolconnlimit, (select count(*)::int from pg_stat_activity where usesysid = r.oid),
       d.datconnlimit, (select numbackends from pg_stat_database where datname = d.datname),
       r.rolsuper, quote_ident(r.rolname)
from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()
"""
_SIZES = """
with recursive tree (oid) as (
  select c.oid from unnest(%s::text[], %s::text[]) as t(schema, name)
  join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name
  union select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid
)
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint, pg_database_size(current_database()) from tree
"""
JOURNAL = 1.5
"""A row written for the first time takes its size again in WAL, and half of it in indexes of the engine's own."""


@probe()
def time_limits(context: ProbeContext) -> Iterator[Finding]:
    """Time limits of our roles that are shorter than what a step needs."""
    limits = context.limits
    for side in context.connections:
        names = ["statement_timeout", "transaction_timeout", "idle_session_timeout"]
        found = {name: timedelta(milliseconds=ms) for name, ms in context.rows(side, _TIMEOUTS, (names,)) if ms > 0}
        role = context.place(side)
        statement, whole, idle = (found.get(name) for name in names)
        if statement is not None and statement < limits.statement:
            yield warning(
                "statement_timeout",
                f"{role} ends our statements after {statement.total_seconds():g} s. Steps set"
                f" {limits.statement.total_seconds():g} s themselves, which wins.",
                "Ask its owner whether long statements are welcome; if so: alter role … set statement_timeout ="
                f" '{limits.statement.total_seconds():.0f}s'.",
            )
        if whole is not None and whole < limits.transaction:
            yield error(
                "transaction_timeout",
                f"{role} ends our transactions after {whole.total_seconds():g} s, and a step may take"
                f" {limits.transaction.total_seconds():g} s.",
                f"alter role … set transaction_timeout = '{limits.transaction.total_seconds():.0f}s'.",
            )
        if idle is not None and idle < limits.idle_session:
            yield warning(
                "idle_session_timeout",
                f"{role} ends our idle sessions after {idle.total_seconds():g} s, so that each step connects anew.",
                "alter role … set idle_session_timeout = '2min'.",
            )


@probe()
def connections(context: ProbeContext) -> Iterator[Finding]:
    """Connections that are free on each server, for our role and for the database, against those a run uses."""
    for side in context.connections:
        slots, used, of_role, by_role, of_database, in_database, superuser, role = context.row(side, _CONNECTIONS)
        # Ours is among those in use.
        room = [(slots - used + 1, "the server", "Raise max_connections, or end sessions that nobody needs")]
        if of_role >= 0 and not superuser:
            room.append((of_role - by_role + 1, f"the role {role}", f"alter role {role} connection limit -1"))
        if of_database >= 0 and not superuser:
            room.append((of_database - in_database + 1, "the database", "alter database … connection limit -1"))
        for free, whose, remedy in room:
            yield from _judged_room(context, side, free, f"{whose} of {context.place(side)}", remedy)
        if context.connections[side].info.host.endswith("pooler.supabase.com"):
            yield note(
                "pooler",
                f"{context.place(side)} is a pooler: SQL cannot see how many connections it lends; a run uses"
                f" {context.workers}.",
            )


def _judged_room(context: ProbeContext, side: Side, free: int, whose: str, remedy: str) -> Iterator[Finding]:
    if free >= context.workers:
        return
    judge = error if free < 2 else warning
    yield judge(
        "few_connections",
        f"{whose.capitalize()} has {max(free, 0)} connections left for us, and a run uses up to {context.workers}.",
        f"{remedy}; or deploy with smaller TargetConnections or LegacyConnections.",
    )


@probe("legacy", "target")
def growth(context: ProbeContext) -> Iterator[Finding]:
    """How much the target will grow, against the size of its disk where that is known."""
    entities = context.catalog.entities.values()
    read = {split(source.table.table) for entity in entities for source in entity.sources.values()}
    mapped = {split(entity.target) for entity in entities}
    in_legacy, _ = context.row("legacy", _SIZES, _columns(read))
    in_target, all_of_it = context.row("target", _SIZES, _columns(mapped))
    grows = int(max(in_legacy - in_target, 0) * JOURNAL)
    sizes = (
        f"The mapped tables take {in_legacy / GIGABYTE:,.2f} GB in legacy and {in_target / GIGABYTE:,.2f} GB in the"
        f" target, which takes {all_of_it / GIGABYTE:,.2f} GB in all and may grow by {grows / GIGABYTE:,.2f} GB"
    )
    if context.disk_gb is None:
        yield note(
            "disk_unknown", f"{sizes}; the size of its disk is unknown.", "Give it with: hybrid-sync check --disk-gb."
        )
    elif all_of_it + grows > 0.9 * context.disk_gb * GIGABYTE:
        yield error("disk_too_small", f"{sizes}; its disk has {context.disk_gb:g} GB.", "Enlarge the target's disk.")
    else:
        yield note("disk", f"{sizes}; its disk has {context.disk_gb:g} GB.")


def _columns(relations: set[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = sorted(relations)
    return [schema for schema, _ in pairs], [name for _, name in pairs]
