"""Find keys: what a run of a few keys has to carry, and how; read without locks, which come before it is read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from hybrid_sync.catalog.place import quoted
from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.contracts import RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.erase import records
from hybrid_sync.ids.known import ask_ids
from hybrid_sync.keys import ask_recorded, record_among
from hybrid_sync.legacy import fence
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Question, inside, together
from hybrid_sync.retries import UNSEEN_KEY
from hybrid_sync.runs.called import ask_called
from hybrid_sync.runs.closure import Closure, places, requested
from hybrid_sync.runs.fences import require_reached
from hybrid_sync.runs.store import Requested, RunRecord
from hybrid_sync.schema.bulk import ask_lacking
from hybrid_sync.schema.plans import EntityPlan, compile_all
from hybrid_sync.schema.ready import ask_installed
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.steps.same_version import version
from hybrid_sync.timing import timed
from hybrid_sync.world import World
from hybrid_sync.write.open_run import RunToOpen

Wait = Callable[[float], None]
"""Let so many seconds pass."""


class Whole(Exception):
    """The request is too large for this path and takes the whole flow; nothing of it has been written."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass
class KeysToCarry:
    """What to carry, before any lock is taken."""

    fence: Fence
    closure: Closure
    unseen: bool
    """A row that the request names is on neither side."""
    plans: dict[str, EntityPlan] = field(default_factory=dict)
    erasures: int = 0
    """The last one that the list outside the target has."""

    @property
    def rows(self) -> Requested:
        return self.closure.rows

    @property
    def planned(self) -> dict[str, AsPlanned]:
        return {name: self.plans[name].as_planned for name in self.rows}


@timed("find")
def find_keys(
    world: World, request: RunRequest, most: int, wait: Wait, legacy: Connection, target: Connection
) -> KeysToCarry | None:  # fmt: skip
    """The rows that the request names, with the parents that the target lacks; None where the run is recorded.

    A key that neither side has is waited for, since the event may have come before its commit; one that the target
    knows has gone.  Raises Whole above `most` rows.
    """
    named = requested(world.catalog, request.refs)
    for attempt in range(1, UNSEEN_KEY.attempts + 1):
        found = _first_look(world, named, request.run_id, legacy, target)
        if found is None or not found.unseen or attempt == UNSEEN_KEY.attempts:
            break
        wait(UNSEEN_KEY.delay(attempt))
    if found is None:
        return None
    grow(world, request, found, most, legacy, target)
    found.erasures = max(world.erasures.numbers(), default=0)
    return found


def grow(
    world: World, request: RunRequest, found: KeysToCarry, most: int, legacy: Connection, target: Connection
) -> None:
    """Look for parents until none is missing, and compile what the rows need."""
    closure = found.closure
    fence.keep_to(legacy, found.fence)
    with inside(legacy, "legacy", soon=True), inside(target, "target", soon=True):
        require_reached(target, found.fence)
        while closure.growing:
            if closure.size > most:
                break
            closure.grow(legacy, target)
        if closure.size > most:
            raise Whole("too_many_keys")
        fence.refuse_replica(found.fence, (world.catalog[name] for name in closure.rows))
        compile_all(request.run_id, closure.rows, world.catalog, legacy, target)
    for name in closure.rows:
        found.plans[name] = plan_of(world, request.run_id, name, legacy, target)


def run_to_open(world: World, run: RunRecord, found: KeysToCarry) -> RunToOpen:
    """What the run is recorded as, with the locks."""
    request = run.request
    entities = [
        {
            "entity": name, "wave": n, "requested": found.rows[name], "batches": len(found.rows[name]),
            "keys": sum(map(len, found.rows[name].values())), "warnings": found.plans[name].warnings,
            "hidden_rows": found.plans[name].hidden_rows, "target": quoted(world.catalog[name].target),
        }
        for n, wave in enumerate(run.waves) for name in wave
    ]  # fmt: skip
    deadline = request.deadline_seconds or world.limits(request.profile).deadline_seconds
    return RunToOpen(request, found.fence, version(world), deadline, entities, found.planned)


def _first_look(
    world: World, named: Requested, run_id: str, legacy: Connection, target: Connection
) -> KeysToCarry | None:  # fmt: skip
    """The fence, the rows and the parents that the target lacks; None where the run is recorded."""
    catalog = world.catalog
    closure = Closure(catalog, named)
    with inside(legacy, "legacy", soon=True), inside(target, "target", soon=True):
        asked: list[Callable[[], None]] = []
        saved = fence.current_fence(legacy, lambda trip: asked.append(closure.ask_legacy(trip)))
        asked[-1]()
        with together(target) as trip:
            trip.ask(ask_installed())
            recorded = trip.ask(_ask_recorded(run_id))
            erased = trip.ask(records.last())
            lacking = trip.ask(ask_lacking())
            called = trip.ask(ask_called(catalog))
            grow = closure.ask_target(trip)
            there = {place: trip.ask(ask_ids(catalog, place, keys)) for place, keys in places(named)}
            retired = {
                place: trip.ask(ask_recorded("retired_id", *place, record_among(keys))) for place, keys in places(named)
            }
        grow()
    records.remember_last(world, erased.value)
    if recorded.value:
        return None
    if lacking.value:
        raise Whole("first_load_left_open")
    if called.value is False:
        raise Whole("called_otherwise")
    unseen = {
        place: set(keys) - closure.seen.get(place, set()) - there[place].value.keys() - set(retired[place].value)
        for place, keys in places(named)
    }
    return KeysToCarry(saved, closure, any(unseen.values()))


def _ask_recorded(run_id: str) -> Question[bool]:
    return Question(
        "select exists (select from hybrid_sync.run where run_id = %s)",
        (run_id,),
        lambda found: bool(found.fetchall()[0][0]),
    )
