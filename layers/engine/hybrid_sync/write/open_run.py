"""The beginning of a run of a few keys: its record, holds, locks and pages, all in one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.contracts import BatchTask, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import bucket_numbers, span
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Question, together
from hybrid_sync.timing import timed
from hybrid_sync.write.batches import require_entered
from hybrid_sync.write.pages import Opened, PageStart, opened, page_id


@dataclass(frozen=True)
class RunToOpen:
    """What is recorded of the run."""

    request: RunRequest
    fence: Fence
    version: tuple[str, str]
    """The catalog's hash and the build."""
    deadline_seconds: int
    entities: Sequence[Mapping[str, Any]]
    """Of each: entity, target, wave, requested, batches, keys, warnings, hidden_rows."""
    planned: Mapping[str, AsPlanned]


@timed("lock")
def open_run(
    connection: Connection, run: RunToOpen, parts: Sequence[tuple[BatchTask, Collection[str]]],
    then: Iterable[Question[None]],
) -> list[Opened] | None:  # fmt: skip
    """Record the run, share its entities' rows, lock all buckets and claim all pages, in this order, and ask `then`;
    None where an earlier delivery has recorded the run.

    `parts` come in the global order of locks, each with the entities of which it looks ids up.  Raises EntityHeld.
    """
    request = run.request
    given = {
        "run_id": request.run_id, "profile": request.profile, "trigger": request.trigger, "priority": request.priority,
        "request": request.model_dump(mode="json"), "fence": run.fence.model_dump(mode="json"),
        "catalog_hash": run.version[0], "build": run.version[1], "deadline": run.deadline_seconds,
    }  # fmt: skip
    opening = Question(
        "select * from hybrid_sync.open_run(%s, %s, %s)",
        (json.dumps(given), json.dumps(list(run.entities)), json.dumps([_part(*part) for part in parts])),
        lambda found: found.fetchall()[0],
    )
    with together(connection) as trip:
        asked = trip.ask(opening)
        trip.ask(_record_plans(request.run_id, run.planned))
        for question in then:
            trip.ask(question)
    refused, status, entity, pages = asked.value
    if refused == "recorded":
        return None
    require_entered(connection, request.run_id, entity, refused, status)
    return [page for one in pages if isinstance(page := opened(*one), Opened)]


def _record_plans(run_id: str, planned: Mapping[str, AsPlanned]) -> Question[None]:
    """Add by what each of these entities is read and written, where nobody has: few keys plan nothing else."""
    return Question(
        "update hybrid_sync.run_entity e set fence_at_start = e.fence_at_start || p.value from jsonb_each(%s) p"
        " where e.run_id = %s and e.entity = p.key and not e.fence_at_start ? 'definition'",
        (json.dumps({name: one._asdict() for name, one in planned.items()}), run_id),
        lambda _: None,
    )


def _part(task: BatchTask, entities: Collection[str]) -> dict[str, Any]:
    first, last = span(task.lo, task.hi)
    return {
        "entity": task.entity, "source": task.source, "buckets": bucket_numbers(task.keys or ()),
        "page": str(page_id(task, PageStart())), "lo": task.lo, "hi": task.hi, "first": first, "last": last,
        "entities": sorted(entities),
    }  # fmt: skip
