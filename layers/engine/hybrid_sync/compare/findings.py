"""The reconcile's records in the target: segments, differences by key and column, delete candidates, the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.compare.origin import Origin
from hybrid_sync.compare.recheck import Departure, Difference
from hybrid_sync.contracts import BatchTask, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import (
    COLUMN,
    PARAMETER,
    bucket_of,
    first_of_record,
    key_literal,
    record_among,
    record_between,
    recorded,
    span,
)
from hybrid_sync.legacy.changes import Bucket
from hybrid_sync.postgres import Connection, Question
from hybrid_sync.recorded.checks import Reconcile
from hybrid_sync.session import Answer, Trip, dicts

KEPT_DAYS = 90
SHOWN = 20
"""Differing keys named in the entity's result; all of them stay in hybrid_sync.difference."""


@dataclass(frozen=True)
class Compared:
    """What comparing one segment found."""

    legacy_rows: int
    target_rows: int
    in_flight: int
    seconds: float


@dataclass(frozen=True)
class Confirmed:
    """A difference that persisted: who changed the row, and whether this run heals it."""

    difference: Difference
    origin: Origin
    missed_by_fence: bool | None
    """Whether the fence should have found it; None where it did, and the row's batch is not done."""
    heals: bool


def begin(trip: Trip, run_id: str, entity: str, segments: int) -> Answer[int]:
    """A reconcile is under way; what an attempt before this one left is forgotten.

    The target's snapshot is kept: what a later reconcile finds written before it, this one has compared.  So is the
    epoch of the id cache, which is the answer: all segments check the same entries.
    """
    place = (run_id, entity)
    trip.do("delete from hybrid_sync.difference where run_id = %s and entity = %s", place)
    # An earlier run's drift is reported again by every check after it, so old lines serve nobody.
    trip.do(
        "delete from hybrid_sync.difference where entity = %s and found_at < now() - make_interval(days => %s)",
        (entity, KEPT_DAYS),
    )
    trip.do("delete from hybrid_sync.delete_candidate where run_id = %s and entity = %s", place)
    trip.do("delete from hybrid_sync.reconcile_segment where run_id = %s and entity = %s", place)
    return trip.ask(
        Question(
            "update hybrid_sync.run_entity set reconcile = coalesce(reconcile, '{}') ||"
            " jsonb_build_object('done', false,"
            " 'segments_planned', %s::int, 'target_xmin', pg_snapshot_xmin(pg_current_snapshot())::text, 'cache_epoch',"
            " coalesce((select cache_epoch from hybrid_sync.entity_state s where s.entity = run_entity.entity), 0))"
            " where run_id = %s and entity = %s returning (reconcile->>'cache_epoch')::int",
            (segments, *place),
            lambda found: int(found.fetchall()[0][0]),
        )
    )


def record(trip: Trip, run_id: str, entity: str, result: Mapping[str, Any]) -> None:
    """Add to the record of the entity's reconcile."""
    trip.do(
        "update hybrid_sync.run_entity set reconcile = coalesce(reconcile, '{}') || %s"
        " where run_id = %s and entity = %s",
        (json.dumps(Reconcile.some(**result)), run_id, entity),
    )


# --- segments ------------------------------------------------------------------------------------------------


def record_segment(
    trip: Trip, run_id: str, entity: str, n: int, source: str, ends: tuple[int | None, int | None], compared: Compared,
    suspected: int,
) -> None:  # fmt: skip
    """Replace what an earlier attempt at this segment found."""
    trip.do(
        "delete from hybrid_sync.difference where run_id = %s and entity = %s and segment = %s", (run_id, entity, n)
    )
    trip.do(
        "insert into hybrid_sync.reconcile_segment (run_id, entity, n, source, lo, hi, legacy_rows, target_rows,"
        " in_flight, suspected, seconds) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (run_id, entity, n) do update set legacy_rows = excluded.legacy_rows,"
        " target_rows = excluded.target_rows, in_flight = excluded.in_flight, suspected = excluded.suspected,"
        " seconds = excluded.seconds, done_at = clock_timestamp()",
        (
            run_id, entity, n, source, *ends, compared.legacy_rows, compared.target_rows, compared.in_flight,
            suspected, compared.seconds,
        ),
    )  # fmt: skip


def suspect(connection: Connection, place: tuple[str, str, str, int], keys: Sequence[Key]) -> None:
    """List keys as suspects of (run, entity, source, segment), by way of a temporary table: COPY is refused where row
    security applies to our role."""
    if not keys:
        return
    connection.execute(sql.SQL("create temp table hybrid_sync_suspect (key {}) on commit drop").format(COLUMN))
    with connection.cursor() as cursor, cursor.copy("copy pg_temp.hybrid_sync_suspect (key) from stdin") as copy:
        for key in keys:
            copy.write_row((list(key),))
    connection.execute(
        "insert into hybrid_sync.difference (run_id, entity, source, key, segment)"
        " select %s, %s, %s, key, %s from pg_temp.hybrid_sync_suspect",
        place,
    )


def ask_segments_done(run_id: str, entity: str) -> Question[list[dict[str, Any]]]:
    """How many segments are compared, and their totals; always one row."""
    return dicts(
        "select count(*) as segments, coalesce(sum(legacy_rows), 0)::bigint as rows_checked,"
        " coalesce(sum(in_flight), 0)::bigint as in_flight, coalesce(sum(suspected), 0)::bigint as suspected,"
        " coalesce(round(sum(seconds)::numeric, 3), 0)::text as compare_seconds"
        " from hybrid_sync.reconcile_segment where run_id = %s and entity = %s",
        (run_id, entity),
    )


# --- differences -----------------------------------------------------------------------------------------------


def page(
    connection: Connection, run_id: str, entity: str, source: str, states: Sequence[str], after: Key, size: int
) -> list[Key]:
    """Keys of the next differences in these states after a key, in key order."""
    where = sql.SQL("run_id = {} and state = any({}) and key > {}").format(run_id, list(states), key_literal(after))
    return recorded(connection, "difference", entity, source, where, size)


def clear(connection: Connection, run_id: str, entity: str, source: str, keys: Sequence[Key]) -> None:
    """These suspicions were none."""
    connection.execute(
        sql.SQL("delete from hybrid_sync.difference where run_id = {} and entity = {} and source = {} and {}").format(
            *map(sql.Literal, (run_id, entity, source)), record_among(keys)
        )
    )


def confirm(
    connection: Connection, run_id: str, entity: str, source: str, found: Sequence[Confirmed]
) -> None:  # fmt: skip
    """Differences that persisted."""
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "update hybrid_sync.difference set state = %s, kind = %s, columns = %s, origin = %s, fence_missed = %s,"
                " heal = %s where run_id = %s and entity = %s and source = %s and key = {}"
            ).format(PARAMETER),
            [
                (
                    "persists" if d.kind == "unjoined" else "confirmed", d.kind, list(d.columns), c.origin,
                    c.missed_by_fence, c.heals, run_id, entity, source, list(d.key),
                )
                for c in found for d in (c.difference,)
            ],
        )  # fmt: skip


def settle(connection: Connection, run_id: str, entity: str, source: str, keys: Sequence[Key], state: str) -> None:
    """What became of differences that were healed."""
    connection.execute(
        sql.SQL(
            "update hybrid_sync.difference set state = {} where run_id = {} and entity = {} and source = {} and {}"
        ).format(*map(sql.Literal, (state, run_id, entity, source)), record_among(keys))
    )


def healing(connection: Connection, run_id: str, entity: str, source: str, keys: Sequence[Key]) -> set[Key]:
    """Which of these keys the run was to heal, or could not."""
    where = sql.SQL("run_id = {} and (heal or state = 'persists') and {}").format(run_id, record_among(keys))
    return set(recorded(connection, "difference", entity, source, where))


def heal_counts(run_id: str, entity: str, source: str) -> Question[list[Bucket]]:
    """Keys to heal by bucket, in bucket order."""
    return Question(
        sql.SQL(
            "select {} as n, count(*) from hybrid_sync.difference"
            " where run_id = {} and entity = {} and source = {} and heal and state = 'confirmed' group by 1 order by 1"
        ).format(bucket_of(first_of_record()), *map(sql.Literal, (run_id, entity, source))),
        None,
        lambda found: [Bucket(int(n), int(keys)) for n, keys in found.fetchall()],
    )


def keys_to_heal(connection: Connection, task: BatchTask, after: Key | None, at_most: int) -> list[Key]:
    """The next keys of a heal batch; they wait here and not in the batch's message, however many there are."""
    where = sql.SQL("run_id = {} and heal and state = 'confirmed' and {} and key > {}").format(
        task.run_id, record_between(span(task.lo, task.hi)), key_literal(after or ())
    )
    return recorded(connection, "difference", task.entity, task.source, where, at_most)


def list_departures(connection: Connection, run_id: str, entity: str, source: str, found: Sequence[Departure]) -> None:
    """Hand keys to the delete step."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into hybrid_sync.delete_candidate (run_id, entity, source, key, why) values (%s, %s, %s, %s, %s)"
            " on conflict (run_id, entity, source, key) do update set why = excluded.why",
            [(run_id, entity, source, list(d.key), d.why) for d in found],
        )


def list_wrong_ids(connection: Connection, run_id: str, entity: str, source: str, keys: Sequence[Key]) -> None:
    """Keys whose cached id was not the target's."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into hybrid_sync.wrong_id (run_id, entity, source, key) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            [(run_id, entity, source, list(key)) for key in keys],
        )


# --- the result --------------------------------------------------------------------------------------------------

_NUMBERS = """
select count(*) filter (where kind is not null) as differing,
       count(*) filter (where state = 'healed') as healed,
       count(*) filter (where state = 'persists' or (heal and state = 'confirmed')) as persisted,
       count(*) filter (where origin in ('target', 'both')) as drift,
       count(*) filter (where origin = 'both') as both_changed,
       count(*) filter (where fence_missed) as fence_missed,
       count(*) filter (where origin = 'legacy' and fence_missed = false) as silent,
       count(*) filter (where not heal and state = 'confirmed') as left_alone,
       count(*) filter (where not heal and state = 'confirmed' and columns && %(money)s::text[]) as money_left
from hybrid_sync.difference where run_id = %(run)s and entity = %(entity)s
"""
_SHOWN = """
select source, key, kind, columns, origin, state from hybrid_sync.difference
where run_id = %s and entity = %s and kind is not null order by source, key limit %s
"""
_DEPARTED = """
select count(*) filter (where why = 'gone') as gone, count(*) filter (where why = 'excluded') as excluded_present,
       (select count(*) from hybrid_sync.wrong_id w where w.run_id = %(run)s and w.entity = %(entity)s) as wrong_ids
from hybrid_sync.delete_candidate where run_id = %(run)s and entity = %(entity)s
"""


def numbers(trip: Trip, run_id: str, entity: Entity) -> Callable[[], dict[str, Any]]:
    """The result so far, with the first differing keys and the names of their columns; to be called after the trip."""
    of_money = {name for line in entity.money for name in (line.column, line.currency, line.status) if name}
    given = {"run": run_id, "entity": entity.entity}
    counted = trip.ask(dicts(_NUMBERS, {**given, "money": sorted(of_money)}))
    departed = trip.ask(dicts(_DEPARTED, given))
    shown = trip.ask(dicts(_SHOWN, (run_id, entity.entity, SHOWN)))
    return lambda: {**counted.value[0], **departed.value[0], "shown": shown.value}
