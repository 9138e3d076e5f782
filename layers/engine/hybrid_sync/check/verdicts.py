"""The verdicts of checks in the target: no scheduled run starts before its catalog has passed one."""

from __future__ import annotations

from hybrid_sync.check.model import CheckOutcome
from hybrid_sync.errors import NotChecked
from hybrid_sync.postgres import Connection, Question, one_trip, transaction

_KEEP = """
insert into hybrid_sync.deployment_check (check_id, catalog_hash, passed, errors, warnings, notes, report)
values (%(check_id)s, %(catalog_hash)s, %(passed)s, %(errors)s, %(warnings)s, %(notes)s, %(report)s)
on conflict (check_id) do update set
  passed = excluded.passed, errors = excluded.errors, warnings = excluded.warnings, notes = excluded.notes,
  report = excluded.report, checked_at = clock_timestamp()
"""
_PASSED = """
select coalesce(bool_or(passed), false), (array_agg(check_id order by checked_at desc))[1]
from hybrid_sync.deployment_check where catalog_hash = %s
"""


def record_verdict(target: Connection, catalog_hash: str, outcome: CheckOutcome) -> None:
    """Record the outcome; safe to repeat."""
    counts = outcome.model_dump(include={"passed", "errors", "warnings", "notes", "report"})
    with transaction(target, "target"):
        target.execute(_KEEP, {"check_id": outcome.check_id, "catalog_hash": catalog_hash, **counts})


def require_passed(target: Connection, catalog_hash: str) -> None:
    """NotChecked unless this catalog has passed a check in this target."""
    with one_trip(target, "target", read_only=True) as trip:
        asked = trip.ask(Question(_PASSED, (catalog_hash,), lambda found: found.fetchall()[0]))
    passed, last = asked.value
    if passed:
        return
    why = f"its last one, {last}, found errors" if last else "it has not been checked since it was changed or deployed"
    raise NotChecked(
        f"No scheduled run starts before its catalog has passed a check, and {why}.",
        "Run `hybrid-sync check` and correct what it names; the next scheduled run then starts, and a run by hand"
        " (`hybrid-sync sync`) starts at once.",
    )
