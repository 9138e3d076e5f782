"""The failed records of a run that a unique value kept out, and the record of having settled them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from hybrid_sync.contracts import BatchResult, Key
from hybrid_sync.keys import bucket_numbers, single
from hybrid_sync.postgres import Connection

REASONS = ("unique_violation", "exclusion_violation")


def kept_out(connection: Connection, run_id: str, entity: str) -> dict[str, set[Key]]:
    """By source, the rows of the entity that this run tried and a unique value kept out."""
    rows = connection.execute(
        "select source, key from hybrid_sync.failed_record where entity = %s and last_run = %s"
        " and reason = any(%s) and status in ('open', 'escalated')",
        (entity, run_id, list(REASONS)),
    ).fetchall()
    return _by_source(rows)


def waiting_for(
    connection: Connection, run_id: str, entity: str, arrived: Collection[tuple[str, str, Key]]
) -> dict[str, set[Key]]:
    """By source, the rows of the entity that this run tried and that wait for one of these parents."""
    if not arrived:
        return {}
    parents = [f"{name} {source} {one}" for name, source, key in arrived if (one := single(key)) is not None]
    rows = connection.execute(
        "select source, key from hybrid_sync.failed_record where entity = %s and last_run = %s"
        " and reason = 'missing_parent' and status in ('open', 'escalated')"
        " and concat_ws(' ', waits_for->>'entity', waits_for->>'source', waits_for->'key'->>0) = any(%s)",
        (entity, run_id, parents),
    ).fetchall()
    return _by_source(rows)


def _by_source(rows: Iterable[tuple[str, list[int]]]) -> dict[str, set[Key]]:
    found: dict[str, set[Key]] = {}
    for source, key in rows:
        found.setdefault(source, set()).add(tuple(key))
    return found


def record_settled(
    connection: Connection, run_id: str, entity: str, source: str, keys: Collection[Key], batch: uuid.UUID,
    result: BatchResult, xids: Iterable[int], seconds: float,
) -> None:  # fmt: skip
    """What was settled, beside the batches of the run."""
    buckets = bucket_numbers(keys)
    connection.execute(
        "insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, result, seconds, xids, step)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s::text[]::xid[], 'settle')",
        (
            batch, run_id, entity, source, buckets[0], buckets[-1] + 1, result.model_dump_json(), seconds,
            [str(x) for x in sorted(set(xids))],
        ),
    )  # fmt: skip
