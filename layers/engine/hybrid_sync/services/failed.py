"""Failed records: the list of them, and a person's word that some may stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Key
from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.failures.accept import accept as accept_records
from hybrid_sync.failures.reasons import REASONS, reason_of
from hybrid_sync.keys import records_after
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.answers import Accepted
from hybrid_sync.services.messages.records import AcceptAsked, Failures, FailuresAsked
from hybrid_sync.session import dicts


def failures(desk: Desk, asked: FailuresAsked, _: str) -> Failures:
    """By entity, source and key; RunNotFound, or RequestRejected for a reason or entity that does not exist."""
    if asked.entity is not None:
        desk.catalog[asked.entity]
    with at_target(desk) as target:
        if asked.run_id is not None:
            _require_run(target, asked.run_id)
        query = _FAILED.format(behind=records_after(asked.after, "f"))
        found = answer(target, dicts(query, asked.model_dump(exclude={"after"})))
        if asked.reason is not None and not found:
            require_reason(target, desk.catalog, asked.reason)
    every = found[0]["every"] if found else 0
    for row in found:
        del row["every"]
    reasons = dict.fromkeys(row["reason"] for row in found)
    return Failures(records=tuple(found), every=every, remedies={code: reason_of(code).remedy for code in reasons})


def accept(desk: Desk, asked: AcceptAsked, who: str) -> Accepted:
    """Accept all of them or none; RequestRejected names what cannot be."""
    source = source_of(desk.catalog, asked.entity, asked.source, asked.keys)
    with at_target(desk) as target:
        accept_records(target, asked.entity, source, asked.keys, by=asked.by or who, why=asked.why)
    return Accepted(accepted=len(asked.keys))


def source_of(catalog: Catalog, entity: str, given: str | None, keys: Sequence[Key]) -> str:
    """The source of the entity that has these keys; RequestRejected where there is none, or several."""
    sources = catalog[entity].sources
    source = given or next(iter(sources))
    if given is None and len(sources) > 1:
        raise RequestRejected(f"{entity} has several sources: write {entity}/source, with one of {', '.join(sources)}.")
    if source not in sources:
        raise RequestRejected(f"{entity} has no source {source}: choose from {', '.join(sources)}.")
    width = len(sources[source].key)
    for key in keys:
        if key and len(key) != width:
            raise RequestRejected(
                f"{','.join(map(str, key))} is no key of {entity}: it has {width} part(s),"
                f" as in {','.join('7' * width)}."
            )
    return source


def _require_run(target: Connection, run_id: str) -> None:
    if target.execute("select from hybrid_sync.run where run_id = %s", (run_id,)).fetchone() is None:
        raise no_such_run(run_id)


def require_reason(target: Connection, catalog: Catalog, reason: str) -> None:
    """A misspelt reason must not look like good news."""
    sources = [source for entity in catalog.entities.values() for source in entity.sources.values()]
    rules = {rule.fail for source in sources for rule in source.rules if rule.fail}
    present = {row[0] for row in target.execute("select distinct reason from hybrid_sync.failed_record").fetchall()}
    if reason not in REASONS.keys() | rules | present:
        here = ", ".join(sorted(present)) or "none"
        raise RequestRejected(
            f"There is no reason {reason}: the records have {here}; "
            f"there are also {', '.join(sorted((REASONS.keys() | rules) - present))}."
        )


_FAILED = sql.SQL("""
select entity, source, key, rows, reason, sqlstate, constraint_name, column_name, waits_for, present, status,
       attempts, first_run, last_run, first_seen, last_seen, ended_by, accepted_why, count(*) over () as every
from hybrid_sync.failed_record f
where (%(run_id)s::text is null or last_run = %(run_id)s::text)
  and (%(entity)s::text is null or entity = %(entity)s::text)
  and (%(reason)s::text is null or reason = %(reason)s::text)
  and (%(everything)s::bool or status <> 'resolved')
  and {behind}
order by entity, source, key
limit %(limit)s::bigint
""")
