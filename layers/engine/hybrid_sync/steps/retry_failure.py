"""Retry failure: read failed records again from legacy, by their keys, in a small journalled run of its own."""

from __future__ import annotations

import hashlib

from hybrid_sync.contracts import BatchResult, BatchTask, FailureMessage, Key, Profile, RunFailure, RunRequest
from hybrid_sync.errors import SyncError, is_outage, spares_rows
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.quarantine import count_attempt, partners, still_open
from hybrid_sync.keys import bucket_numbers
from hybrid_sync.legacy import fence
from hybrid_sync.postgres import one_trip, transaction
from hybrid_sync.runs.called import ask_called, take_along
from hybrid_sync.runs.store import create_run, finish_run, first_load_left_open, record_failure
from hybrid_sync.schema.plans import forget
from hybrid_sync.schema.ready import ask_installed, prepared
from hybrid_sync.steps.plans import recall_erased, require_recalled
from hybrid_sync.steps.same_version import version
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.world import World, both_sides

_DEADLINE_SECONDS = 900


def retry_failure(world: World, message: FailureMessage) -> BatchResult:
    """Try each record that is still open, with what it can only arrive with; `failed` counts what failed again.

    The message is only a hint: what was resolved meanwhile is left alone, so it may come late, twice or out of order.
    An outage says nothing of the records, and so uses up none of their attempts; nor does what has to be mended in the
    deployment, such as another id secret, or a schema that is older than this code.
    """
    with both_sides(world) as (legacy, target):
        with prepared(target), one_trip(target, "target", read_only=True) as trip:
            trip.ask(ask_installed())
            called = trip.ask(ask_called(world.catalog))
        if called.value is False:
            require_recalled(world, target)
            recall_erased(world, legacy, target)  # before names are taken for known
            take_along(target, world.catalog)
        with transaction(target, "target"):
            keys, attempts = still_open(target, message)
            together = sorted({*keys, *partners(target, message)})
            left_open = bool(keys) and first_load_left_open(target)
        if not keys:
            return BatchResult()
        failpoint("retry.counted", target, legacy)
        run_id = _run_id(message, attempts + 1)
        require_recalled(world, target)
        if left_open:  # a row that only a foreign key keeps away would be written, and taken back by the next run
            from hybrid_sync.steps.bulk_load import end_left_open, without_key  # seldom

            end_left_open(world, run_id, target, goes_on=True)
            if refused := without_key(target).get(message.entity):
                raise refused
        with transaction(legacy, "legacy", read_only=True):
            saved = fence.current_fence(legacy)
        fence.refuse_replica(saved, [world.catalog[message.entity]])
        request = RunRequest(
            run_id=run_id, profile=Profile.on_demand, trigger="retry", entities=(message.entity,),
            correlation_id=message.run_id,
        )  # fmt: skip
        with transaction(target, "target"):
            if saved.doubt == "replica":
                from hybrid_sync.runs.fences import require_reached  # seldom

                require_reached(target, saved)
            create_run(target, request, saved, version(world), _DEADLINE_SECONDS, [[message.entity]], {})
        failpoint("retry.recorded", target, legacy)
    forget(run_id, message.entity)  # an earlier delivery's plan is of that moment
    try:
        result = sync_batch(world, _batch(run_id, message, together))
    except SyncError as error:
        if not is_outage(error):
            _failed(world, run_id, message, [] if spares_rows(error) else keys, error)
        raise
    with world.connect_target() as target, transaction(target, "target"):
        count_attempt(target, message, keys)
        finish_run(target, run_id, "succeeded" if result.failed == 0 else "degraded")
    return result


def _failed(world: World, run_id: str, message: FailureMessage, keys: list[Key], error: SyncError) -> None:
    """It was an attempt for these keys; one that waiting cannot help ends, and says why."""
    failure = RunFailure(run_id=run_id, entity=message.entity, state="RetryFailure", error=error.code, cause=str(error))
    with world.connect_target() as target, transaction(target, "target"):
        if keys:
            count_attempt(target, message, keys)
        if not error.transient:
            from hybrid_sync.steps.record_failure import placed  # seldom

            record_failure(target, placed(world, failure))
            finish_run(target, run_id, "failed")


def _run_id(message: FailureMessage, attempt: int) -> str:
    """Equal for equal keys and attempt, so that a doubled delivery finds the first one's batch."""
    named = f"{message.run_id}/{message.entity}/{message.source}/{message.reason}/{message.keys}/{attempt}"
    if message.outages:  # the run of before may be past its deadline
        named += f"/{message.outages}"
    return f"retry-{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _batch(run_id: str, message: FailureMessage, keys: list[Key]) -> BatchTask:
    buckets = bucket_numbers(keys)
    return BatchTask(
        run_id=run_id, entity=message.entity, source=message.source, lo=buckets[0], hi=buckets[-1] + 1,
        buckets=tuple((n, n) for n in buckets), keys=tuple(keys), purpose="retry",
    )  # fmt: skip
