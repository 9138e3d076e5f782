"""Numbers, times and names as people read them; the same words in every format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

NOTHING = "–"
_NAMED = 6
_REASONS = {
    "bad_json": "Bad JSON",
    "unknown_enum": "Unknown code",
    "unique_violation": "Value already taken",
    "check_violation": "Refused by a check",
    "not_null_violation": "Required value missing",
    "foreign_key_violation": "Parent gone from the target",
    "value_too_long": "Text too long",
    "numeric_out_of_range": "Number too large",
    "row_too_large": "Row too large",
    "numeric_scale": "Too many decimals",
    "cast_loses": "Value would be changed",
    "trigger_exception": "Refused by a trigger",
    "duplicate_key": "Same key twice",
    "other": "Refused for another reason",
}
_STATUSES = {"rolled_back": "rolled back", "not_found": "not found"}
_PROFILES = {
    "weekly": "Weekly sync",
    "daily": "Daily sync",
    "hourly": "Hourly sync",
    "on_demand": "On-demand sync",
    "verify": "Verification",
}


def percent(share: float | None) -> str:
    """`99.98 %`; a share below one never reads 100 %, and one above zero never 0 %."""
    if share is None:
        return NOTHING
    shown = f"{share * 100:.2f}"
    if shown == "100.00" and share < 1:
        shown = "99.99"
    if shown == "0.00" and share > 0:
        return "< 0.01 %"
    return f"{shown} %"


def count(number: int | None) -> str:
    """`1,234`."""
    return NOTHING if number is None else f"{number:,}"


def compact(number: float) -> str:
    """At most five letters, for the labels of a chart: `812`, `40.8k`, `2.04M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e3 if letter == "k" else size)
            return f"{scaled:.3g}{letter}" if scaled < 999.5 else f"{scaled:.0f}{letter}"
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def n_of(number: int, noun: str, nouns: str = "") -> str:
    """`1 row`, `2 rows`, `no rows`."""
    shown = f"{number:,}" if number else "no"
    return f"{shown} {noun if number == 1 else nouns or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`; a long list is cut and its rest counted."""
    shown = list(names[:_NAMED]) if len(names) > _NAMED + 1 else list(names)
    if rest := len(names) - len(shown):
        shown.append(f"{rest} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def capital(text: str) -> str:
    """The first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]


def reason_title(code: str) -> str:
    """`Missing parent`, `Bad JSON`; a rule of the catalog goes by its own name."""
    return _REASONS.get(code) or capital(code.replace("_", " "))


def status_word(status: str) -> str:
    """The status of a run for people."""
    return _STATUSES.get(status, status)


def run_title(profile: str) -> str:
    return _PROFILES.get(profile, capital(profile.replace("_", " ")))


def moment(at: datetime | None) -> str:
    """`2026-11-22 01:00 UTC`."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def place(constraint: str | None, column: str | None, sqlstate: str | None) -> str:
    """Where a row failed: `people_email_key (email)`, a column alone, or else the server's code."""
    if constraint and column:
        return f"{constraint} ({column})"
    return constraint or column or sqlstate or ""


def day(at: datetime) -> str:
    """`22 November 2026`."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y}"


def duration(seconds: float | None) -> str:
    """`5.9 s`, `2 min 14 s`, `1 h 03 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 99.95:
        return f"{seconds:,.1f} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3_600:,} h {whole % 3_600 // 60:02} min"


def age(span: timedelta) -> str:
    """`2 minutes`, `5 hours`, `3 days`: how old, rounded down."""
    seconds = max(int(span.total_seconds()), 0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return n_of(seconds // size, unit)
    return "under a minute"
