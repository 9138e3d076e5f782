"""Plan entity: find how its changes are detected, count them by key bucket, cut them into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.moments import require_moment
from hybrid_sync.compare.early_count import EarlyCount, count_early
from hybrid_sync.contracts import BatchTask, EntityTask, Key, PlannedEntity, Profile, RunPriority, RunRequest
from hybrid_sync.errors import RequestRejected, StructureMismatch
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.quarantine import keys_to_retry
from hybrid_sync.keys import bucket_numbers
from hybrid_sync.legacy.changes import Bucket, Detection, changed, count_by_bucket, require_bound, since
from hybrid_sync.legacy.fence import Fence, keep_to, why_unusable
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.runs.fences import StoredFence, ask_fence
from hybrid_sync.runs.store import (
    EntityRecord,
    RunRecord,
    ask_entity,
    ask_failed_with,
    ask_run,
    record_plan,
)
from hybrid_sync.schema.bulk import ROWS
from hybrid_sync.steps.fit_entities import LASTING, require_parents
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.timing import timed
from hybrid_sync.world import World, both_sides
from hybrid_sync.write.batches import entering

_BUCKET_BYTES = 40
"""What a run of buckets takes in a message, at most: two numbers of 18 characters."""
_BATCH_BYTES = 64 * 1024 * 1024
"""What the rows of a batch take, unless one bucket takes more: four pages."""
_SIDE_BY_SIDE = 5
"""Batches of a large entity's changes, at least: one that begins late, or holds more updates than another, is over
soon after it."""
_WORTH_IT = 4_000
"""Rows of each of them, at least: what a batch takes besides its rows is then a twentieth."""
_SINCE = ("fence", "timestamp")
"""Ways of reading that look for what changed: mostly nothing has, and then planning sees that all is well."""
MOST_RUNS = 3_000
"""Runs of buckets in one message, which AWS limits to 256 KiB."""
_KEY_BYTES = 150_000
"""What keys and their buckets take in one message, at most."""


def plan_entity(world: World, task: EntityTask) -> PlannedEntity:
    """Write the entity's manifest of batches, once; a repeated delivery returns the first.

    Of a first load that only ends here nothing is planned: its rows are there.  Raises ParentFailed when an entity that
    its rows refer to turned out not to fit meanwhile.
    """
    if task.portion == "end":
        return PlannedEntity(**dict(task), batches=0, bucket="", manifest="")
    entity = world.catalog[task.entity]
    with both_sides(world) as (legacy, target):
        with one_trip(target, "target") as trip:
            trip.ask(entering(task.run_id, task.entity))
            trip.ask(same_version(world, task.run_id))
            asked_run = trip.ask(ask_run(task.run_id))
            asked_entity = trip.ask(ask_entity(task.run_id, task.entity))
            unfit = trip.ask(ask_failed_with(task.run_id, LASTING))
            fence = trip.ask(ask_fence(task.entity))
            waiting = {s: trip.ask(keys_to_retry(task.run_id, task.entity, s)) for s in entity.sources}
        run, record = asked_run.value, asked_entity.value
        keep_to(legacy, run.fence)
        require_parents(world.catalog, task.entity, unfit.value)
        failpoint("plan.checked", target, legacy)
        plan = plan_of(world, task.run_id, task.entity, legacy, target, run.entities)
        detection, version = _detection(run, record, entity, plan.definition_hash, fence.value)
        retries = {s: keys.value if record.requested is None else [] for s, keys in waiting.items()}
        size = _batch_size(world, run, entity, first=detection.reason == "first_time")
        counts: dict[str, list[Bucket]] | None = None if record.requested is None else {}
        seen: EarlyCount | None = None
        if detection.mode in _SINCE and run.request.profile is not Profile.weekly and not any(retries.values()):
            counts, seen = count_early(
                world.catalog, plan, task.run_id, run.fence, detection, task.entity, legacy, target
            )  # fmt: skip
        if counts is None:
            counts = {s: _counts(legacy, entity, s, plan.sources[s], detection) for s in entity.sources}
        failpoint("plan.scanned", target, legacy)
        least = _SIDE_BY_SIDE if detection.mode in _SINCE else 1
        urgent = {"critical": run.request.priority is RunPriority.critical}
        batches = [b.model_copy(update=urgent) for b in _batches(task, entity, counts, record, retries, size, least)]
        manifest = world.manifests.write_once(task.run_id, task.entity, batches)
        failpoint("plan.manifest_written", target, legacy)
        changed_keys = sum(bucket.rows for per_source in counts.values() for bucket in per_source)
        named_keys = sum(len(keys) for keys in (record.requested or {}).values())
        failpoint("plan.recording", target, legacy)
        with one_trip(target, "target", writes=True) as trip:
            record_plan(
                trip, task.run_id, entity, detection, plan.as_planned, version, manifest.batches,
                changed_keys + named_keys, None if seen is None or manifest.batches else asdict(seen), plan.warnings,
                plan.hidden_rows,
            )  # fmt: skip
        failpoint("plan.recorded", target, legacy)
    return PlannedEntity(
        **dict(task), batches=manifest.batches, bucket=manifest.bucket, manifest=manifest.key,
        settles=detection.mode not in _SINCE or plan.table.values_move,
    )  # fmt: skip


def _detection(
    run: RunRecord, record: EntityRecord, entity: Entity, definition: str, fence: StoredFence
) -> tuple[Detection, int]:
    """How this entity's changed rows are found in this run, and the version of the fence it starts from."""
    stored, stored_definition, version = fence
    request = run.request
    if record.requested is not None:
        return Detection("keys", "requested", stored), version
    if request.since or request.until:
        return _range(entity, request, stored), version
    reason = why_unusable(stored, run.fence)
    if reason is None and stored_definition != definition:
        reason = "definition_changed"
    if entity.detect == "timestamp":
        require_bound(run.fence, entity)
        if reason is None and stored is not None:
            reason = _untimely(stored, run.fence, entity)
    if reason is not None or stored is None:
        return Detection("full", reason or "first_time"), version
    if entity.detect == "timestamp":
        return Detection("timestamp", "", stored, since(stored, entity)), version
    return Detection("fence", "", stored), version


def _untimely(stored: Fence, now: Fence, entity: Entity) -> str | None:
    """Why the rows' timestamps do not show which of them changed since; None where they do."""
    if since(stored, entity) is None:
        return "unsettled"
    # Legacy's clock was set back: what it stamps from there on looks older than what was read.
    return "clock_back" if now.taken_at < stored.taken_at else None


def _range(entity: Entity, request: RunRequest, stored: object) -> Detection:
    if any(source.changed_at is None for source in entity.sources.values()):
        raise RequestRejected(
            f"Entity {entity.entity} has no `changed_at`, so it cannot be selected by date.",
            "Request it without a date range.",
        )
    return Detection("range", "requested", None, _moment(request.since), _moment(request.until))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestRejected("A date of the request is not ISO 8601.", "Write it as 2026-11-01T00:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _batch_size(world: World, run: RunRecord, entity: Entity, *, first: bool) -> int:
    usual = world.limits(run.request.profile).batch_size
    if first:
        # A page locks each row that it refers to, and looks up whether its last lock still stands: once for more rows.
        usual = max(usual, ROWS if entity.first_load == "bulk" else min(2 * usual, ROWS))
    return run.request.batch_size or entity.batch_size or usual


@timed("detect")
def _counts(
    legacy: Connection, entity: Entity, source: str, plan: ReadPlan, detection: Detection
) -> list[Bucket]:  # fmt: skip
    definition = entity.sources[source]
    if detection.mode == "range":
        require_moment(entity, source, plan.changed_at)
    try:
        with one_trip(legacy, "legacy", read_only=True, path=entity.legacy_search_path) as trip:
            found = trip.ask(count_by_bucket(definition, changed(definition, detection), plan.octets))
    except psycopg.DataError as error:  # without its key no row can be identified
        raise StructureMismatch(
            f"Legacy cannot compute the key, or a join, of some row of entity {entity.entity}, source {source}"
            f" ({error.sqlstate}).",
            "Correct that row, or write the expression in the catalog so that every row has a value.",
        ) from None
    return found.value


def _batches(
    task: EntityTask, entity: Entity, counts: dict[str, list[Bucket]], record: EntityRecord,
    retries: dict[str, list[Key]], size: int, least: int = 1,
) -> Iterator[BatchTask]:  # fmt: skip
    for source in entity.sources:
        for buckets in cut(counts.get(source, []), size, least):
            yield _batch(task, source, buckets, size)
        named = sorted((record.requested or {}).get(source, []))
        for keys in _shares(named, size):
            yield batch_of_keys(task.run_id, (task.entity, source), keys, size)
        for keys in _shares(retries[source], size):
            yield batch_of_keys(task.run_id, (task.entity, source), keys, size, retry=True)


def cut(counts: Sequence[Bucket], size: int, least: int = 1) -> Iterator[list[int]]:
    """Buckets in order, as many together as hold at most `size` changed rows; a fuller bucket stands alone.

    Of as few batches as that takes, but of at `least` so many where their rows are worth it, each has about as many
    rows, so that no worker waits for the one with the last full batch.  Large rows are shared out over more batches, so
    that no worker is left with gigabytes.  Where keys are sparse each bucket is a run of its own in the message, so
    that their number is bounded, too.
    """
    buckets: list[int] = []
    rows = octets = runs = 0
    left = sum(bucket.rows for bucket in counts)
    least = min(least, left // _WORTH_IT)
    share = _even_share(left, size, least)
    for bucket in counts:
        begins = not buckets or bucket.n != buckets[-1] + 1
        fuller = rows >= share or rows + bucket.rows > size or octets + bucket.octets > _BATCH_BYTES
        if buckets and (fuller or runs + begins > MOST_RUNS):
            yield buckets
            left -= rows
            least -= 1
            share = _even_share(left, size, least)
            buckets, rows, octets, runs, begins = [], 0, 0, 0, True
        buckets.append(bucket.n)
        rows += bucket.rows
        octets += bucket.octets
        runs += begins
    if buckets:
        yield buckets


def _even_share(rows: int, size: int, least: int) -> int:
    """How many rows each of the batches has that hold `size` at most, and are at `least` so many."""
    return -(-rows // max(1, least, -(-rows // size)))


def _shares(keys: Sequence[Key], size: int) -> Iterator[list[Key]]:
    """Keys in order, at most `size` together, and so few that their message stays small."""
    share: list[Key] = []
    written = 0
    for key in keys:
        length = _BUCKET_BYTES + sum(len(str(part)) + 1 for part in key) + 2
        if share and (len(share) == size or written + length > _KEY_BYTES):
            yield share
            share, written = [], 0
        share.append(key)
        written += length
    if share:
        yield share


def runs_of(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as runs (first, last)."""
    runs: list[tuple[int, int]] = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return tuple(runs)


def _batch(task: EntityTask, source: str, buckets: Sequence[int], size: int) -> BatchTask:
    return BatchTask(
        run_id=task.run_id, entity=task.entity, source=source, lo=buckets[0], hi=buckets[-1] + 1,
        buckets=runs_of(buckets), page_rows=size,
    )  # fmt: skip


def batch_of_keys(
    run_id: str, place: tuple[str, str], keys: Sequence[Key], size: int | None = None, *, retry: bool = False
) -> BatchTask:
    """Just these keys of an entity's source, in pages of `size` rows, or in one."""
    entity, source = place
    buckets = bucket_numbers(keys)
    return BatchTask(
        run_id=run_id, entity=entity, source=source, lo=buckets[0], hi=buckets[-1] + 1, buckets=runs_of(buckets),
        keys=tuple(keys), purpose="retry" if retry else "requested", page_rows=size or len(keys),
    )  # fmt: skip
