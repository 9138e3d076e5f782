"""The long form's parts: each measures one thing that the short form has no time for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.peers.engine_peer import ENGINE, run
from bench.peers.ground import Ground
from bench.peers.long import stack
from bench.peers.long.big import EVENTS, MESSAGES, Big
from bench.peers.long.patience import Patience
from bench.peers.measure import Measured, measured
from bench.peers.peer import Phase, Place
from bench.peers.tables import ROWS
from tests.engine.wait_counter import WaitCounter

MESSAGES_ROWS = 2_039_588
GROWTH = (100_000, 1_000_000, 10_000_000)
WORKERS = (1, 2, 4)
BATCHES = (1_000, 5_000, 20_000, 50_000)
JSON_IS_SLOWER = 2.0
LATENCIES = (0, 5, 20)
"""Milliseconds of every answer of either database."""


def messages(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """As many messages as the mission has, their JSON checked row by row and made jsonb, against the raw copy."""
    rows = round(MESSAGES_ROWS * ground.scale)
    left.require(f"messages: {rounds} x {rows:,} rows by each", rounds * 2 * rows, made=rows, slower=JSON_IS_SLOWER)
    big = Big.made(ground, MESSAGES, rows, like)
    engine, copies = [], []
    for n in range(rounds):
        copies.append(big.raw_copy())
        engine.append(big.first_load())
        left.say(f"{n + 1} messages {rows:,}: raw COPY {copies[-1].wall:.1f} s, engine {_said(engine[-1])}")
    big.drop()
    ours, raw = median(one.wall for one in engine), median(one.wall for one in copies)
    return {
        "messages_vs_copy": ours / raw, "messages_seconds": round(ours, 2), "messages_copy_seconds": round(raw, 2),
        "peaks_mb": [round(max(one.peak for one in engine), 1)],
    }  # fmt: skip


def growth(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """A hundred times the rows: the seconds of a million, and a worker's memory."""
    per_million, peaks = {}, []
    for full in GROWTH:
        rows = round(full * ground.scale)
        left.require(f"growth: {rows:,} rows", rows, made=rows)
        big = Big.made(ground, EVENTS, rows, like)
        done = big.first_load()
        big.drop()
        left.saw(rows, done.wall)
        per_million[full] = round(done.wall / rows * 1e6, 2)
        peaks.append(round(done.peak, 1))
        left.say(f"growth {rows:,}: {_said(done)}, {per_million[full]} s a million")
    return {
        "growth": per_million[GROWTH[2]] / per_million[GROWTH[1]],
        "growth_seconds_a_million": {f"{rows}": seconds for rows, seconds in per_million.items()},
        "growth_peaks_mb": peaks, "peaks_mb": peaks,
    }  # fmt: skip


def workers(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """The twelve tables by so many workers."""
    return {"workers_seconds": _each(ground, WORKERS, lambda n: replace(like, workers=n), "workers", left)}


def batches(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """The twelve tables in batches of so many rows."""
    return {"batch_seconds": _each(ground, BATCHES, lambda n: replace(like, batch_size=n), "rows in a batch", left)}


def latency(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """The twelve tables through proxies that answer later, which take some time of their own: compare with 0 ms."""
    told: dict[str, dict[str, float]] = {}
    for delay in LATENCIES:
        rows = round(ROWS * ground.scale)
        left.require(f"latency: {delay} ms", rows, made=rows, slower=2 + delay / 2)
        with _twelve(ground, like) as place, _later(place, delay / 1000) as far:
            first = _done(ground, Phase.first, far)
            idle = _done(ground, Phase.idle, far)
        told[f"{delay}"] = {"first": round(first.wall, 2), "idle": round(idle.wall, 2)}
        left.say(f"latency {delay} ms: first {_said(first)}, idle {_said(idle)}")
    return {"latency_ms_seconds": told}


def deployed(ground: Ground, like: Place, rounds: int, left: Patience) -> dict[str, Any]:
    """The twelve tables by the template on this machine's stack, cold and warm, against the engine beforehand; each
    but the cold one as often as there are rounds."""
    engine = []
    for _ in range(rounds):
        with _twelve(ground, like) as place:
            engine.append(_done(ground, Phase.first, place))
        left.say(f"engine {_said(engine[-1])}")
    cold, *warm = stack.first_syncs(ground, rounds, left.say)
    seconds, cpu = median(one.seconds for one in warm), median(one.cpu for one in warm)
    engine_seconds, engine_cpu = median(one.wall for one in engine), median(one.client for one in engine)
    emulator = median(one.emulator for one in warm)
    return {
        "stack_vs_engine": seconds / engine_seconds, "stack_cpu_vs_engine": round(cpu / engine_cpu, 3),
        "stack_seconds": {"cold": round(cold.seconds, 2), "warm": round(seconds, 2)},
        "stack_cpu": {"cold": round(cold.cpu, 2), "warm": round(cpu, 2)},
        "stack_emulator_cpu": {"cold": round(cold.emulator, 2), "warm": round(emulator, 2)},
        "engine_seconds": round(engine_seconds, 2), "engine_cpu": round(engine_cpu, 2),
    }  # fmt: skip


PARTS: dict[str, Callable[[Ground, Place, int, Patience], dict[str, Any]]] = {
    "messages": messages, "growth": growth, "workers": workers, "batches": batches, "latency": latency,
    "stack": deployed,
}  # fmt: skip


def _each(
    ground: Ground, numbers: tuple[int, ...], place_of: Callable[[int], Place], what: str, left: Patience
) -> dict[str, float]:
    """Seconds of a first load by number."""
    told = {}
    for number in numbers:
        rows = round(ROWS * ground.scale)
        left.require(f"{number} {what}", rows, made=rows, slower=2)
        with _twelve(ground, place_of(number)) as place:
            done = _done(ground, Phase.first, place)
        told[f"{number}"] = round(done.wall, 2)
        left.say(f"{number} {what}: {_said(done)}")
    return told


@contextmanager
def _twelve(ground: Ground, like: Place) -> Iterator[Place]:
    """Both databases of the twelve tables, nothing carried yet."""
    folder = ground.folder / "work" / "alone"
    ground.empty(folder)
    try:
        legacy, target = ground.create_legacy("alone"), ground.create_target("alone", ENGINE.target())
        place = replace(like, legacy=legacy, target=target, folder=folder)
        ENGINE.prepare(place)
        yield place
    finally:
        ground.drop("alone")


@contextmanager
def _later(place: Place, delay: float) -> Iterator[Place]:
    """Both databases behind proxies."""
    proxies, dsns = [], {}
    try:
        for side in ("legacy", "target"):
            parts = conninfo_to_dict(getattr(place, side))
            proxy = WaitCounter(str(parts["host"]), int(str(parts["port"])))
            proxy.delay = delay
            proxies.append(proxy)
            dsns[side] = make_conninfo(getattr(place, side), host="127.0.0.1", port=proxy.port)
        yield replace(place, **dsns)
    finally:
        for proxy in proxies:
            proxy.close()


def _done(ground: Ground, phase: Phase, place: Place) -> Measured:
    ground.settle()
    return measured(run(phase, place), ground.cpu)


def _said(figure: Measured) -> str:
    return f"{figure.wall:.1f} s, {figure.cpu:.1f} s of CPU, {figure.peak:.0f} MB"
