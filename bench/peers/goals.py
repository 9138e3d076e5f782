"""The ratios that the benchmark answers, what each shall be at most, and which are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.peers.contest import Round
from bench.peers.peer import Phase

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Medians: by contestant, phase and `wall`, `cpu`, `client`, `legacy`, `target`, `peak_mb`."""
Extra = Mapping[str, Any]
"""What the long form has measured besides, by name."""
IDLE_FIXED = 1.0
"""Seconds that a run may take whatever legacy holds."""


@dataclass(frozen=True)
class Goal:
    """`value` is None where it was not measured; `allowed` says what is allowed besides."""

    key: str
    says: str
    most: float
    value: Callable[[Figures, Extra], float | None]
    allowed: str = ""

    def met(self, figures: Figures, extra: Extra) -> bool | None:
        value = self.value(figures, extra)
        if value is None:
            return None
        if self.key == "idle_daily_vs_fence_scan":
            scan = figures["fence_scan"][Phase.idle]["wall"]
            return value * scan <= self.most * scan + IDLE_FIXED
        return value <= self.most

    @property
    def goal(self) -> str:
        return f"≤ {self.most:g}{self.allowed}"


def medians(rounds: Sequence[Round]) -> dict[str, dict[str, dict[str, float]]]:
    """Of each contestant and phase, each figure by itself."""
    made: dict[str, dict[str, dict[str, float]]] = {}
    for name, phase in rounds[0].figures:
        several = [one.figures[name, phase] for one in rounds]
        made.setdefault(name, {})[phase.value] = {
            "wall": round(median(one.wall for one in several), 3),
            "cpu": round(median(one.cpu for one in several), 3),
            "client": round(median(one.client for one in several), 3),
            "legacy": round(median(one.legacy for one in several), 3),
            "target": round(median(one.target for one in several), 3),
            "peak_mb": round(median(one.peak for one in several), 1),
        }
    return made


def _of(figures: Figures, name: str, phase: Phase, what: str = "wall") -> float | None:
    """The best of those whose name begins so: dlt has several readers."""
    found = [
        phases[phase][what] for known, phases in figures.items()
        if (known == name or (known.startswith(f"{name}_") and name == "dlt")) and phase in phases
    ]  # fmt: skip
    return min(found, default=None)


def _ratio(one: str, other: str, phase: Phase, what: str = "wall") -> Callable[[Figures, Extra], float | None]:
    def value(figures: Figures, extra: Extra) -> float | None:
        above, below = _of(figures, one, phase, what), _of(figures, other, phase, what)
        return above / below if above is not None and below else None

    return value


def _peak(figures: Figures, extra: Extra) -> float | None:
    peaks = [phase["peak_mb"] for name in ("engine", "engine_live") for phase in figures.get(name, {}).values()]
    return max([*peaks, *extra.get("peaks_mb", ())], default=None)


def _measured(key: str) -> Callable[[Figures, Extra], float | None]:
    return lambda figures, extra: extra.get(key)


GOALS = (
    Goal(
        "first_empty_vs_copy", "first load into empty tables ÷ raw COPY (a)", 0.8, _ratio("engine", "copy", Phase.first)
    ),
    Goal(
        "first_live_vs_copy",
        "first load into tables in use ÷ raw COPY (a)",
        1.1,
        _ratio("engine_live", "copy", Phase.first),
    ),
    Goal(
        "first_empty_vs_sling_bare",
        "first load ÷ sling's into bare tables",
        0.8,
        _ratio("engine", "sling", Phase.first),
    ),
    Goal("first_empty_vs_dlt_best", "first load ÷ dlt's into bare tables", 0.7, _ratio("engine", "dlt", Phase.first)),
    Goal(
        "first_live_vs_fdw",
        "first load into tables in use ÷ postgres_fdw (b)",
        0.55,
        _ratio("engine_live", "fdw", Phase.first),
    ),
    Goal("delta_vs_fdw", "a day's changes ÷ postgres_fdw (b)", 1.2, _ratio("engine", "fdw", Phase.delta)),
    Goal("delta_vs_sling", "a day's changes ÷ sling", 0.8, _ratio("engine", "sling", Phase.delta)),
    Goal("delta_vs_dlt", "a day's changes ÷ dlt", 0.5, _ratio("engine", "dlt", Phase.delta)),
    Goal(
        "idle_daily_vs_fence_scan",
        "a day without changes ÷ one scan of legacy",
        2.5,
        _ratio("engine", "fence_scan", Phase.idle),
        f" plus {IDLE_FIXED} s",
    ),
    Goal("check_vs_md5", "a check of every row ÷ md5 by hand", 1.5, _ratio("engine", "md5", Phase.check)),
    Goal(
        "client_vs_prototype",
        "the client's CPU ÷ the splice prototype's",
        2.0,
        _ratio("engine", "prototype", Phase.first, "client"),
    ),
    Goal("stack_vs_engine", "first sync by the deployed stack, warm ÷ the engine's", 1.6, _measured("stack_vs_engine")),
    Goal(
        "stack_cpu_vs_engine",
        "CPU of the deployed functions in that sync ÷ the engine's workers'",
        1.3,
        _measured("stack_cpu_vs_engine"),
    ),
    Goal(
        "messages_vs_copy",
        "2.04 M messages, JSON checked and made jsonb ÷ raw COPY",
        1.2,
        _measured("messages_vs_copy"),
    ),
    Goal("growth", "seconds a million rows at 10 M ÷ at 1 M", 1.15, _measured("growth")),
    Goal(
        "cold_event_seconds",
        "seconds from a critical request to its row in the target, no worker alive",
        3.0,
        _measured("cold_event_seconds"),
    ),
    Goal("peak_mb", "MB of a worker at most", 110, _peak),
)
