"""bench/results.json: what was measured, where, when, of which commit; what an earlier form measured stays, dated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.peers import machine
from bench.peers.contest import Round
from bench.peers.goals import GOALS, medians
from bench.peers.peer import Peer

FILE = Path(__file__).resolve().parents[1] / "results.json"
Results = dict[str, Any]
PEAK = "peak_mb"


def made(
    peers: Sequence[Peer], missing: Mapping[str, str], rounds: Sequence[Round], *, rows: int, void: int, noisy: bool
) -> Results:
    """Of the rounds alone."""
    return {
        **_stamp(), "rows": rows, "rounds": len(rounds), "void": void, "noisy": noisy,
        "others": round(max(one.others for one in rounds), 3),
        "machine": machine.machine(), "versions": machine.versions(),
        "labels": {peer.name: peer.label for peer in peers},
        "does": {peer.name: asdict(peer.does) for peer in peers if not peer.beside},
        "missing": dict(missing), "medians": medians(rounds), "engine": _told(rounds[-1]),
    }  # fmt: skip


def judged(results: Results, earlier: Results, extra: Mapping[str, Any]) -> Results:
    """With ratios and goals.  A ratio that was not measured this time is the one of `earlier`, with its own date."""
    ratios: dict[str, float | None] = {}
    goals: dict[str, Any] = {}
    for goal in GOALS:
        value = goal.value(results["medians"], extra)
        before = earlier.get("goals", {}).get(goal.key)
        if value is None and before is not None:
            goals[goal.key] = {**before, "goal": goal.goal, "says": goal.says}
        else:
            met = goal.met(results["medians"], extra)
            noisy = {"noisy": True} if results["noisy"] else {}
            value = None if value is None else round(value, 3)
            goals[goal.key] = {"says": goal.says, "goal": goal.goal, "value": value, "met": met, **_stamp(), **noisy}
        ratios[goal.key] = goals[goal.key]["value"]
    return {**results, "ratios": ratios, "goals": goals, "long": {**earlier.get("long", {}), **extra}}


def amended(earlier: Results, extra: Mapping[str, Any], *, noisy: bool) -> Results:
    """What was written down before, with what parts of the long form have measured since, dated."""
    goals, medians_of = dict(earlier.get("goals", {})), earlier.get("medians", {})
    for goal in GOALS:
        value = goal.value(medians_of, extra) if goal.key in extra or goal.key == PEAK else None
        same = value is not None and round(value, 3) == goals.get(goal.key, {}).get("value")
        if goal.key not in goals:
            goals[goal.key] = {"says": goal.says, "goal": goal.goal, "value": None, "met": None, **_stamp()}
        if value is not None and not (same and goal.key == PEAK):
            met = goal.met(medians_of, extra)
            beside = {"noisy": True} if noisy else {}
            goals[goal.key] = {
                "says": goal.says, "goal": goal.goal, "value": round(value, 3), "met": met, **_stamp(), **beside
            }  # fmt: skip
    ratios = {key: one["value"] for key, one in goals.items()}
    return {**earlier, "ratios": ratios, "goals": goals, "long": {**earlier.get("long", {}), **extra}}


def read() -> Results:
    """What is there; empty where nothing is."""
    return dict(json.loads(FILE.read_text("utf-8"))) if FILE.exists() else {}


def write(results: Results) -> None:
    FILE.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _stamp() -> dict[str, str]:
    return {"date": machine.now(), "commit": machine.commit()}


def _told(last: Round) -> dict[str, Any]:
    """What the engine has counted in each phase of the last round."""
    return {
        f"{name} {phase.value}": {key: told for key, told in figure.told.items() if key != "peak_kib"}
        for (name, phase), figure in last.figures.items() if "seconds" in figure.told
    }  # fmt: skip
