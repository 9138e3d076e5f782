"""What each call has used, kept with its run; and how much memory each worker has needed at most."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from psycopg import sql

from hybrid_sync.errors import SyncError
from hybrid_sync.metering import MeasuredCall, Used
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.session import Trip

_AT_MOST = 100
"""Calls that a worker remembers unrecorded: its target is away, and later ones say more."""


class Recorder:
    """Of one worker.  What could not be recorded goes with the next call of the same worker.

    `asked`: what was asked of AWS since the call was measured, which is for its recording.
    """

    def __init__(self, connect_target: Callable[[], Connection], asked: Callable[[], Used] = Used) -> None:
        self._connect = connect_target
        self._asked = asked
        self._unrecorded: list[MeasuredCall] = []
        self._peaks: dict[str, int] = {}

    def record(self, call: MeasuredCall, *, now: bool) -> None:
        """`now`, or with the next one: a call that failed may have failed for the target."""
        self._remember(call)
        if not now:
            return
        try:
            with self._connect() as target, one_trip(target, "target", writes=True) as trip:
                self._remember_own(call)  # such as whether the target is away
                # In one order, since other workers add to the same rows.
                for one in sorted(self._unrecorded, key=lambda c: (c.run_id, c.entity, c.function)):
                    trip.do(_ADD, _given(one))
                if call.peak_rss_kib > self._peaks.get(call.run_id, 0):
                    _record_peak(trip, call)
        except SyncError:
            self._remember_own(call)
            raise
        self._unrecorded = []
        self._peaks = {call.run_id: max(call.peak_rss_kib, self._peaks.get(call.run_id, 0))}

    def _remember(self, call: MeasuredCall) -> None:
        self._unrecorded = [*self._unrecorded, call][-_AT_MOST:]

    def _remember_own(self, call: MeasuredCall) -> None:
        asked = self._asked()
        if asked.requests:
            self._remember(replace(call, calls=0, milliseconds=0, transitions=0, used=asked, times={}))


def _given(call: MeasuredCall) -> dict[str, object]:
    return {
        "run": call.run_id, "entity": call.entity, "function": call.function, "memory": call.memory_mib,
        "calls": call.calls, "milliseconds": call.milliseconds, "transitions": call.transitions,
        "reads": call.used.read_units, "writes": call.used.write_units, "requests": json.dumps(call.used.requests),
        "times": json.dumps(call.times),
    }  # fmt: skip


def _record_peak(trip: Trip, call: MeasuredCall) -> None:
    """A worker's own peak memory, as it measured it."""
    trip.do(
        "insert into hybrid_sync.run_worker (run_id, function, worker, peak_rss_kib, memory_mib)"
        " values (%s, %s, %s, %s, %s) on conflict (run_id, function, worker) do update"
        " set peak_rss_kib = greatest(run_worker.peak_rss_kib, excluded.peak_rss_kib), seen_at = clock_timestamp()",
        (call.run_id, call.function, call.worker, call.peak_rss_kib, call.memory_mib),
    )


_ADD = sql.SQL("""
insert into hybrid_sync.run_usage as u
  (run_id, entity, function, memory_mib, calls, milliseconds, transitions, read_units, write_units, requests, times)
values (%(run)s, %(entity)s, %(function)s, %(memory)s, %(calls)s, %(milliseconds)s, %(transitions)s, %(reads)s,
        %(writes)s, %(requests)s::jsonb, %(times)s::jsonb)
on conflict (run_id, entity, function) do update set
  memory_mib = excluded.memory_mib, calls = u.calls + excluded.calls,
  milliseconds = u.milliseconds + excluded.milliseconds, transitions = u.transitions + excluded.transitions,
  read_units = u.read_units + excluded.read_units, write_units = u.write_units + excluded.write_units,
  times = hybrid_sync.add_times(u.times, excluded.times),
  requests = (select coalesce(jsonb_object_agg(name, number), '{}') from (
    select name, sum(number::bigint) as number
    from (select * from jsonb_each_text(u.requests) union all select * from jsonb_each_text(excluded.requests))
      as one(name, number) group by name) added)
""")
