"""Holds: an entity of the target stays as it is until a person says otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.errors import RequestRejected
from hybrid_sync.runs import holds as engine
from hybrid_sync.services.desk import Asked, Desk, at_target


class HoldAsked(Asked):
    entity: str
    why: str


class HoldsAsked(Asked):
    """Nothing to say."""


class ReleaseAsked(Asked):
    entities: Annotated[tuple[str, ...], Field(min_length=1)]


class Hold(Message):
    entity: str
    by: str | None
    why: str | None


class Holds(Message):
    holds: tuple[Hold, ...]


class Released(Message):
    released: tuple[str, ...]


def hold(desk: Desk, asked: HoldAsked, who: str) -> Hold:
    """Let nothing be written to the entity; waits for batches at work."""
    desk.catalog[asked.entity]
    with at_target(desk) as target:
        engine.hold(target, [asked.entity], who, asked.why)
    return Hold(entity=asked.entity, by=who, why=asked.why)


def holds(desk: Desk, _: HoldsAsked, __: str) -> Holds:
    """What is held, by whom and why."""
    with at_target(desk) as target:
        found = engine.holds(target)
    return Holds(holds=tuple(Hold(entity=one.entity, by=one.by, why=one.why) for one in found))


def release(desk: Desk, asked: ReleaseAsked, _: str) -> Released:
    """All of them or none; RequestRejected names those that are not held."""
    with at_target(desk) as target:
        released = engine.release(target, asked.entities)
        if missing := sorted(set(asked.entities) - set(released)):
            kept = (
                f" nothing was released, {', '.join(released)} stays held too." if released else " nothing to release."
            )
            raise RequestRejected(f"{', '.join(missing)} is not held:{kept}")
    return Released(released=tuple(released))
