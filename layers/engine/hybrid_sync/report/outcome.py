"""How a run ended: the one place that decides between succeeded, degraded and failed."""

from __future__ import annotations

from hybrid_sync.report.model import RunSummary

_IN_PART = ("keys", "range")
"""Ways of reading that carry just what a request names: there nothing is tolerated."""


def outcome(summary: RunSummary) -> str:
    """Of a run whose last entity has been verified, or cannot be.

    Failed: something was not verified.  Degraded: verified, and more rows are missing or stale than the catalog
    tolerates, a row that the request names is not current, what is gone from legacy stays in the target though the
    catalog wants it gone (where it is money; else where the target itself did not let it go), or row security may hide
    rows: what it hides nobody has compared.  Else succeeded.
    """
    stopped = any(failure.entity is None for failure in summary.failures)
    if stopped or not summary.entities or any(entity.status != "verified" for entity in summary.entities):
        return "failed"
    return "degraded" if reasons(summary) else "succeeded"


def reasons(summary: RunSummary) -> tuple[str, ...]:
    """Why the run is not simply succeeded, one sentence each: counts, names and keys."""
    shortfalls: list[str] = []
    in_part = {e.entity for e in summary.entities if e.detection in _IN_PART}
    for line in summary.missed:
        if line.beyond and line.entity not in in_part:
            limit = f"the catalog tolerates {line.tolerated}" if line.tolerated else "the catalog tolerates none"
            shortfalls.append(
                f"{line.title}: {line.open_rows:,} {_rows(line.open_rows)} failed with {line.reason}; {limit}."
            )
    for e in summary.entities:
        # Single rows are listed below; the parents that came with them are judged by what they brought.
        if e.detection == "range" and e.conservation is not None and e.conservation.not_current:
            c = e.conservation
            shortfalls.append(f"{e.title}: of the rows asked for, {c.stale:,} are stale and {c.absent:,} absent.")
    shortfalls += [f"{row.ref}: {row.in_words}." for row in summary.asked if not row.ok]
    for e in summary.entities:
        for some in e.undeleted:
            of_them = "" if some.rows == len(some.keys) else "among them "
            shortfalls.append(
                f"{e.title}: {some.rows:,} {_rows(some.rows)} gone from legacy could not be deleted in the target: "
                f"{some.reason} ({of_them}{', '.join(some.keys)})."
            )
    shortfalls += dict.fromkeys(sentence for e in summary.entities for sentence in e.hidden_rows)
    return tuple(shortfalls)


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
