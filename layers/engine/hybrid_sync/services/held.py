"""Holds: an entity of the target stays as it is until a person says otherwise."""

from __future__ import annotations

from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.runs import holds as engine
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.answers import Hold, Holds, Released
from hybrid_sync.services.messages.holds import HoldAsked, HoldsAsked, ReleaseAsked


def hold(desk: Desk, asked: HoldAsked, who: str) -> Hold:
    """Let nothing be written to the entity; waits for batches at work."""
    desk.catalog[asked.entity]
    with at_target(desk) as target:
        engine.hold(target, [asked.entity], who, asked.why)
    return Hold(entity=asked.entity, by=who, why=asked.why)


def holds(desk: Desk, _: HoldsAsked, __: str) -> Holds:
    """The held entities, who holds each, and why."""
    with at_target(desk) as target:
        found = engine.holds(target)
    return Holds(holds=tuple(Hold(entity=one.entity, by=one.by, why=one.why) for one in found))


def release_of(desk: Desk, run_id: str) -> Released:
    """Release what this run holds, or the rollback that took it back; RunNotFound, RequestRejected where it holds
    nothing or its rollback is at work still."""
    with at_target(desk) as target:
        if target.execute("select from hybrid_sync.run where run_id = %s", (run_id,)).fetchone() is None:
            raise no_such_run(run_id)
        found = target.execute(
            "select entity from hybrid_sync.entity_state where held and (held_by = %(run)s or held_by in"
            " (select run_id from hybrid_sync.run where undoes = %(run)s)) order by entity for update",
            {"run": run_id},
        ).fetchall()
        if not found:
            raise RequestRejected(
                f"Run {run_id} holds no entity.", "See what is held, and by whom: hybrid-sync holds, or GET /v1/holds."
            )
        return Released(released=tuple(engine.release(target, [row[0] for row in found])))


def release(desk: Desk, asked: ReleaseAsked, _: str) -> Released:
    """All of them or none; RequestRejected names those that are not held."""
    if asked.run_id:
        return release_of(desk, asked.run_id)
    with at_target(desk) as target:
        released = engine.release(target, asked.entities)
        if missing := sorted(set(asked.entities) - set(released)):
            others = f"{', '.join(released)} {'stays' if len(released) == 1 else 'stay'} held too"
            kept = f"nothing was released, {others}." if released else "nothing to release."
            raise RequestRejected(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not held: {kept}")
    return Released(released=tuple(released))
