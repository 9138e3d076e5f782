"""One entity: how it stands, twelve weeks of it, what it misses and why, how its schema drifts, what waits to go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from hybrid_sync.contracts import Message
from hybrid_sync.postgres import Connection, together
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.report.document import Tone
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.words import n_of, percent, reason_title
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.services.views import history
from hybrid_sync.services.views.missed import Missed, ask_missed, missed
from hybrid_sync.services.views.model import Act, Money, RunLine, Week
from hybrid_sync.services.views.run import CauseLine
from hybrid_sync.services.views.verified import Verified, ask_fresh, ask_verified, money_of, verified
from hybrid_sync.session import dicts


class EntityAsked(Asked):
    entity: str


class EntitiesAsked(Asked):
    """Nothing to say."""


class EntityRow(Message):
    """One entity in the list of all."""

    entity: str
    title: str
    current: int | None = None
    due: int | None = None
    adds_up: str = ""
    complete_until: datetime | None = None
    missed: int = 0
    held: bool = False

    @property
    def share(self) -> float | None:
        return self.current / self.due if self.due and self.current is not None else None


class Entities(Message):
    at: datetime
    entities: tuple[EntityRow, ...]


class FailedKey(Message):
    """One failed record: its key and codes."""

    source: str
    key: str
    reason: str
    status: str
    attempts: int
    since: datetime


class EntityView(Message):
    """`verdict` says in a sentence how it stands; `drift` are changes of either side's structure, in sentences."""

    at: datetime
    entity: str
    title: str
    tone: Tone
    verdict: str
    current: int | None = None
    due: int | None = None
    stale: int = 0
    absent: int = 0
    excluded: int = 0
    pending_deletes: int = 0
    native: int = 0
    adds_up: str = ""
    verified_at: datetime | None = None
    verified_by: str = ""
    complete_until: datetime | None = None
    held_by: str = ""
    held_why: str = ""
    held_at: datetime | None = None
    money: tuple[Money, ...] = ()
    weeks: tuple[Week, ...] = ()
    runs: tuple[RunLine, ...] = ()
    causes: tuple[CauseLine, ...] = ()
    records: tuple[FailedKey, ...] = ()
    drift: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()


def entities(desk: Desk, _: EntitiesAsked, __: str) -> Entities:
    """All of the catalog, in its own order."""
    catalog = desk.catalog
    with at_target(desk) as target, together(target) as trip:
        known, fresh = trip.ask(ask_verified()), trip.ask(ask_fresh())
        failed, held = trip.ask(ask_missed()), trip.ask(dicts(_HELD, {"entity": None}))
    found = verified(known.value, catalog)
    until = {row["entity"]: row["complete_until"] for row in fresh.value}
    away: dict[str, int] = {}
    for row in failed.value:
        away[row["entity"]] = away.get(row["entity"], 0) + row["records"] - row["accepted"]
    holds = {row["entity"] for row in held.value}
    return Entities(
        at=desk.now(),
        entities=tuple(
            EntityRow(
                entity=name, title=entity.title, complete_until=until.get(name), missed=away.get(name, 0),
                held=name in holds, **_standing(found.get(name)),
            )
            for name, entity in catalog.entities.items()
        ),
    )  # fmt: skip


def _standing(one: Verified | None) -> dict[str, Any]:
    if one is None:
        return {}
    return {"current": one.conservation.current, "due": one.conservation.due, "adds_up": one.adds_up}


def entity_view(desk: Desk, asked: EntityAsked, _: str) -> EntityView:
    """RequestRejected where the catalog has no such entity."""
    catalog, name = desk.catalog, asked.entity
    entity = catalog[name]
    with at_target(desk) as target:
        seen = _seen(target, name)
    known = verified(seen["verified"], catalog).get(name)
    causes = missed(seen["missed"], catalog, {name: known} if known else {})
    held = next(iter(seen["held"]), {})
    until = next((row["complete_until"] for row in seen["fresh"] if row["entity"] == name), None)
    where = known.conservation if known else None
    tone, verdict = _verdict(known, causes, held)
    return EntityView(
        at=desk.now(), entity=name, title=entity.title, tone=tone, verdict=verdict, complete_until=until,
        held_by=held.get("by") or "", held_why=held.get("why") or "", held_at=held.get("since"),
        verified_at=known.at if known else None, verified_by=known.run_id if known else "", **_rows(known, where),
        money=money_of(known.headline) if known else (), weeks=history.weeks(seen["weekly"], desk.now()),
        runs=history.run_lines(seen["runs"], catalog), causes=tuple(map(_cause, causes)),
        records=tuple(FailedKey(**row) for row in seen["records"]), drift=_drift(seen["structure"]),
        acts=_acts(name, held),
    )  # fmt: skip


def _seen(target: Connection, name: str) -> dict[str, list[dict[str, Any]]]:
    given = {"entity": name}
    with together(target) as trip:
        asked = {
            "verified": trip.ask(ask_verified(name)), "fresh": trip.ask(ask_fresh()),
            "missed": trip.ask(ask_missed(name)), "held": trip.ask(dicts(_HELD, given)),
            "weekly": trip.ask(history.ask_weeks(name)), "runs": trip.ask(history.ask_runs(name)),
            "records": trip.ask(dicts(_RECORDS, given)),
            "structure": trip.ask(dicts(_STRUCTURE, given)),
        }  # fmt: skip
    return {key: answer.value for key, answer in asked.items()}


def _rows(known: Verified | None, where: Conservation | None) -> dict[str, Any]:
    if known is None or where is None:
        return {}
    names = ("current", "due", "stale", "absent", "excluded", "pending_deletes", "native")
    return {"adds_up": known.adds_up, **{name: getattr(where, name) for name in names}}


def _verdict(known: Verified | None, causes: Sequence[Missed], held: dict[str, Any]) -> tuple[Tone, str]:
    if known is None:
        return Tone.quiet, "It was never verified as a whole."
    c = known.conservation
    said = f"{c.current:,} of {n_of(c.due, 'row')} are as legacy has them ({percent(c.success_rate)})."
    if known.adds_up is Sum.no:
        return Tone.bad, f"{said} Something differs that no failed record explains."
    if held:
        return Tone.warning, f"{said} It is held: nothing is written to it."
    if any(cause.needs_a_person for cause in causes):
        return Tone.warning, f"{said} What is missing needs a person."
    return Tone.good, said


def _cause(one: Missed) -> CauseLine:
    return CauseLine(
        code=one.code, title=reason_title(one.code), times=one.records, new=one.escalated, entities=(one.entity,),
        meaning=one.reason.meaning, remedy=one.reason.remedy, keys=one.keys,
    )  # fmt: skip


def _drift(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """What the last runs said of how the two sides and the catalog fit."""
    said = [sentence for row in rows for sentence in (*(row["warnings"] or ()), *(row["hidden_rows"] or ()))]
    said += [f"Read in full by {row['run_id']}: {row['detection_reason']}." for row in rows if row["restructured"]]
    return tuple(dict.fromkeys(said))


def _acts(name: str, held: dict[str, Any]) -> tuple[Act, ...]:
    hold = Act(kind="release", label="Release", of=name) if held else Act(kind="hold", label="Hold…", of=name)
    return (Act(kind="resync", label="Sync again…", of=name), Act(kind="verify", label="Compare", of=name), hold)


_HELD: LiteralString = """
select entity, held_by as by, held_why as why, held_at as since from hybrid_sync.entity_state
where held and (%(entity)s::text is null or entity = %(entity)s::text) order by held_at, entity
"""
_RECORDS: LiteralString = """
select source, array_to_string(key, ',') as key, reason, status, attempts, first_seen as since
from hybrid_sync.failed_record where entity = %(entity)s and status <> 'resolved'
order by first_seen, source, key limit 100
"""
_STRUCTURE: LiteralString = """
select e.run_id, e.warnings, e.hidden_rows, e.detection_reason,
       e.detection = 'full' and e.detection_reason not in ('first_time', 'asked') as restructured
from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
where e.entity = %(entity)s and r.profile in ('weekly', 'daily', 'verify') order by r.started_at desc limit 5
"""
