"""How an entity is used, and whether another schedule would fit it better: a sentence where one would."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.tuning.model import ProfileUse

OFTEN = 3.0
"""On-demand runs of an entity a day, from which on a scheduled run would carry them together."""
FEWEST_RUNS = 5
"""Of a profile, before anything is said of it."""
IDLE = 0.9
"""The part of a profile's runs that change nothing, from which on they need not run so often."""
_SELDOMER = {"hourly": ("daily", 24), "daily": ("weekly", 7)}
"""The next schedule, and how many runs of this one are one of that."""


def advice(entity: str, asked: int, keys: int, days: int, profiles: Sequence[ProfileUse]) -> str:
    """One sentence for each schedule that does not fit; empty where all do."""
    ran = {one.profile: one for one in profiles}
    said = [_idle(entity, one) for one in profiles]
    if asked >= OFTEN * days and asked > FEWEST_RUNS:
        to = "daily" if "daily" not in ran else "hourly" if "hourly" not in ran else ""
        dear = ran["on_demand"].dollars if "on_demand" in ran else 0.0
        counted = f"{entity}: {asked:,} on-demand runs for {keys:,} different keys in {days} days, ${dear:,.4f}"
        said.append(f"{counted}; add it to a {to} run." if to else f"{counted}; ask for several keys at once.")
    return " ".join(filter(None, said))


def _idle(entity: str, one: ProfileUse) -> str:
    if one.profile not in _SELDOMER or one.runs < FEWEST_RUNS or one.idle < IDLE * one.runs:
        return ""
    seldomer, ratio = _SELDOMER[one.profile]
    saved = one.dollars * (1 - 1 / ratio)
    return (
        f"{entity}: nothing changed in {one.idle:,} of {one.runs:,} {one.profile} runs: {seldomer} is enough,"
        f" and saves ${saved:,.4f} in the same time."
    )
