"""Start a run: what is asked for is compared with the catalog before anything is started."""

from __future__ import annotations

from datetime import UTC, datetime

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Profile, Ref, RunRequest
from hybrid_sync.errors import RequestForbidden, RequestRejected
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.runs import StartAsked, Started


def sync(desk: Desk, asked: StartAsked, who: str) -> Started:
    """As `start`; RequestForbidden for a run that is to erase, which is an admin's."""
    if asked.request.act != "sync":
        raise RequestForbidden("Operators start runs, and erase nobody.", "An admin does, with hybrid-sync erase.")
    return start(desk, asked.run_id, asked.request, who, dry_run=asked.dry_run)


def start(desk: Desk, run_id: str, request: RunRequest, who: str, *, dry_run: bool = False) -> Started:
    """Start the run once, whatever is sent twice, when the gate admits it.

    RequestRejected for what the catalog does not know, RequestConflicts where the id belongs to another request.
    """
    for name in request.entities:
        desk.catalog[name]
    desk.catalog.require_deletable(request)
    check_range(desk.catalog, request)
    for ref in request.refs:
        check_ref(desk.catalog, ref)
    asked_by = request.model_copy(update={"run_id": "", "requested_by": who, "accepted_at": None})
    if dry_run:
        seen = desk.gate.preview(asked_by)
        return Started(run_id=run_id, status="would start" if not seen else "would wait", why=seen)
    job = desk.gate.add(asked_by, run_id, who)
    return Started(run_id=job.job_id, status=job.status)


def verify(desk: Desk, asked: StartAsked, who: str) -> Started:
    """Start a run that compares only; RequestRejected for another profile."""
    if asked.request.profile is not Profile.verify:
        raise RequestRejected(f"A {asked.request.profile} run is no verification.", "Start it with hybrid-sync sync.")
    return sync(desk, asked, who)


def check_range(catalog: Catalog, request: RunRequest) -> None:
    """RequestRejected where `since` and `until` select nothing, or rows that have no time of their change."""
    if request.since is None and request.until is None:
        return
    if request.profile is not Profile.on_demand:
        raise RequestRejected(
            f"Since and until select rows, and a {request.profile} run takes all of them.",
            "Leave out the profile, or since and until.",
        )
    if not request.entities:
        raise RequestRejected(
            "Since and until select rows of entities, and none is named.", "Name the entities whose rows are meant."
        )
    if request.since and request.until and _moment(request.since) >= _moment(request.until):
        raise RequestRejected("Since must be earlier than until.", "Exchange them, or correct one.")
    for name in request.entities:
        if any(source.changed_at is None for source in catalog[name].sources.values()):
            raise RequestRejected(
                f"Entity {name} has no time of change to select by.", "Leave out since and until for it."
            )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def check_ref(catalog: Catalog, ref: Ref) -> None:
    """RequestRejected where the catalog leaves open which legacy row it names."""
    entity = catalog[ref.entity]
    if ref.source is not None and ref.source not in entity.sources:
        raise RequestRejected(
            f"Entity {ref.entity} has no source {ref.source}.", f"Choose from {', '.join(entity.sources)}."
        )
    if ref.source is None and len(entity.sources) > 1:
        raise RequestRejected(
            f"Entity {ref.entity} has several sources.", f"Add source: one of {', '.join(entity.sources)}."
        )
    parts = len(next(iter(entity.sources.values())).key)
    if len(ref.key) != parts:
        raise RequestRejected(
            f"A legacy key of {ref.entity} has {parts} part(s), and {len(ref.key)} were given.",
            "Write an integer, or a list of integers for a composite key.",
        )
