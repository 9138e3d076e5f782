"""Act on people: erase the persons whom a run's request names, or record that legacy has merged them into others.

The run then carries the rows like any other: it reads what is left of them, whatever referred to them, and verifies.
One transaction, with its line of the audit trail; the run's id is the request's, so a repeated delivery acts once.
"""

from __future__ import annotations

from hybrid_sync.contracts import MAX_REFS, Profile, Ref, RunRequest
from hybrid_sync.erase import records
from hybrid_sync.erase.certificate import Kind
from hybrid_sync.erase.closure import Rows
from hybrid_sync.erase.erase import By, ErasureContext, lock, person, record
from hybrid_sync.erase.hashes import Hashes
from hybrid_sync.erase.merge import merged_away, of_legacy, require_known
from hybrid_sync.errors import ErasuresBehind, RequestForbidden, RequestRejected, SyncError
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.runs.closure import places, requested
from hybrid_sync.world import World

MOST_NAMED = 100
"""Rows that one request may name, as one command may."""


def act_on_people(world: World, request: RunRequest, legacy: Connection, target: Connection) -> RunRequest:
    """Erase or merge the persons, and return what the run is to carry; a refusal is recorded in the audit trail as
    well."""
    require_possible(request)
    named: Rows = {place: set(keys) for place, keys in places(requested(world.catalog, request.refs))}
    rows = [{"entity": ref.entity, "key": list(ref.key)} for ref in request.refs]
    what = {"run_id": request.run_id, "rows": rows}
    by = By(request.requested_by or request.trigger, "", world.now(), request.run_id, what)
    try:
        with transaction(target, "target"):
            context = ErasureContext(world.catalog, Hashes(world.id_secret), world.erasures, legacy, target)
            carried = _act(context, request, named, by)
    except SyncError as refused:
        if not refused.transient:
            with transaction(target, "target"):
                kind: Kind = "merged" if request.act == "merge" else "erased"
                records.note(target, kind, by.by, what, refused.code)
        raise
    failpoint("erase.committed", target, legacy)
    return request.model_copy(update=_to_carry(world, carried))


def require_possible(request: RunRequest) -> None:
    """RequestRejected for a request that names persons otherwise than by their rows."""
    more = request.entities or request.since or request.until or request.repair
    if request.profile is not Profile.on_demand or more or not 0 < len(request.refs) <= MOST_NAMED:
        raise RequestRejected(
            f"A run that is to {request.act} persons is on demand, and names 1 to {MOST_NAMED} rows and nothing else.",
            "Send refs, without entities and dates.",
        )


def _act(context: ErasureContext, request: RunRequest, named: Rows, by: By) -> Rows:
    """The rows to carry."""
    lock(context)
    if context.outside.numbers() != records.recorded(context.target):
        raise ErasuresBehind("An erasure broke off before its commit.", "It is tried again, and made good first.")
    in_legacy = of_legacy(context.catalog, named, context)
    require_known(context, named, in_legacy)
    if records.of_request(context.target, request.run_id) is None:
        _require_allowed(context, request, named)
    count = len(request.refs)
    if request.act == "erase":
        record(context, person(context, named), {}, by, count)
        return {place: keys for place, keys in in_legacy.items() if keys} or named
    gone, referring = merged_away(context, named)
    record(context, {}, gone, by, count)
    every = gone.keys() | referring.keys()
    return {place: gone.get(place, set()) | referring.get(place, set()) for place in every}


def _require_allowed(context: ErasureContext, request: RunRequest, named: Rows) -> None:
    """RequestForbidden unless the catalog lets events and programs do this, and to so many a day."""
    today = records.named_today(context.target)
    for entity in sorted({place[0] for place in named}):
        erasure = context.catalog[entity].erasure
        most = erasure.events_a_day if erasure is not None else 0
        if today + len(request.refs) > most:
            raise RequestForbidden(
                f"The catalog lets events and programs {request.act} {most} rows of {entity} a day, and this request"
                f" would make it {today + len(request.refs)}; nobody was erased.",
                f"Let an admin do it (hybrid-sync erase {entity}:KEY), or write `events_a_day:` into `erasure:` of"
                f" {context.catalog.file_of(entity)}.",
            )


def _to_carry(world: World, rows: Rows) -> dict[str, object]:
    """The rows to carry, as refs where they are few; else whole entities, of which a run reads what has changed."""
    refs = tuple(
        Ref(entity=entity, source=source if len(world.catalog[entity].sources) > 1 else None, legacy_id=key)
        for (entity, source), keys in sorted(rows.items()) for key in sorted(keys)
    )  # fmt: skip
    if len(refs) <= MAX_REFS:
        return {"refs": refs}
    return {"refs": (), "entities": tuple(sorted({place[0] for place in rows}))}
