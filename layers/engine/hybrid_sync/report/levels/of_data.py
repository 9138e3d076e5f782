"""Goals about what is in the target: rows, checks, money, age, trail; as the last whole weekly run has found them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.recorded.checks import Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation, over_all
from hybrid_sync.recorded.levels import PERIOD_DAYS, EntityLevel, Goal, Level, Outcome, judged
from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.report.levels.records import Records
from hybrid_sync.report.money import difference
from hybrid_sync.report.words import age, count, listed, n_of, percent

FRESH = timedelta(days=4)
_NO_RUN = "No whole weekly run has ended yet."


def of_data(records: Records, catalog: Catalog) -> Iterator[Level]:
    """Each of them; what a weekly run has not verified is nowhere good enough."""
    known = catalog.entities
    verified = {row["entity"] for row in records.weekly if row["status"] == "verified"}
    unverified = [name for name in known if name not in verified]
    for goal in (_rows, _validation, _integrity, _money):
        yield goal(records, catalog, unverified)
    yield _staleness(records, catalog)
    yield _trail(records)


def of_entities(records: Records, catalog: Catalog) -> tuple[EntityLevel, ...]:
    """Those that were never carried as a whole, then the others, the oldest first."""
    found = []
    for name, entity in catalog.entities.items():
        until = records.fresh.get(name)
        seconds = None if until is None else (records.at - until).total_seconds()
        outcome = Outcome.not_measured if seconds is None else judged(met=seconds < FRESH.total_seconds())
        found.append(
            EntityLevel(entity=name, title=entity.title, complete_until=until, seconds=seconds, outcome=outcome)
        )
    return tuple(sorted(found, key=lambda e: (e.seconds is not None, -(e.seconds or 0), e.entity)))


def _goal(records: Records, name: str, title: str, goal: str) -> Goal:
    return Goal(name, title, goal, f"verification by run {records.weekly[0]['run_id']}" if records.weekly else "runs")


def _besides(catalog: Catalog, unverified: Sequence[str]) -> str:
    return f"; not verified: {listed([catalog[name].title for name in unverified])}" if unverified else ""


def _rows(records: Records, catalog: Catalog, unverified: Sequence[str]) -> Level:
    goal = _goal(records, "rows_current", "records current after the weekly run", "> 99 %")
    whole = over_all(
        tuple(Conservation.model_validate(row["conservation"]) for row in records.weekly if row["conservation"])
    )
    if whole is None or not whole.due:
        return goal.unknown("Nothing was due." if records.weekly else _NO_RUN)
    said = f"{count(whole.current)} of {n_of(whole.due, 'row')} current, {percent(whole.success_rate)}"
    return goal.judged(
        said + _besides(catalog, unverified), met=whole.current * 100 > whole.due * 99 and not unverified,
        part=whole.current, whole=whole.due,
    )  # fmt: skip


def _validation(records: Records, catalog: Catalog, unverified: Sequence[str]) -> Level:
    goal = _goal(records, "validation", "entities verified by the weekly run", "all")
    known, done = len(catalog.entities), len(catalog.entities) - len(unverified)
    if not records.weekly:
        return goal.unknown(_NO_RUN)
    said = f"{done} of {n_of(known, 'entity', 'entities')} verified"  # no share: it would be read as one of rows
    return goal.judged(said + _besides(catalog, unverified), met=not unverified, part=done, whole=known)


def _integrity(records: Records, catalog: Catalog, unverified: Sequence[str]) -> Level:
    goal = _goal(records, "integrity", "rows and references that add up", "all")
    if not records.weekly:
        return goal.unknown(_NO_RUN)
    lines = [ReferenceLine.model_validate(one) for row in records.weekly for one in row["reference_counts"] or ()]
    places = [Conservation.model_validate(row["conservation"]) for row in records.weekly if row["conservation"]]
    compared = [Reconcile.model_validate(row["reconcile"]) for row in records.weekly if row["reconcile"]]
    sound, missing = sum(line.ok for line in lines), sum(where.missing for where in places)
    left = sum(one.persisted + one.money_left for one in compared)
    said = (
        f"{sound} of {n_of(len(lines), 'reference')} sound, {n_of(missing, 'row')} unexplained,"
        f" {n_of(left, 'difference')} left"
    )
    well = sound == len(lines) and not left and all(where.ok for where in places) and not unverified
    return goal.judged(said + _besides(catalog, unverified), met=well, part=sound, whole=len(lines))


def _money(records: Records, catalog: Catalog, unverified: Sequence[str]) -> Level:
    """Legacy's money is in the target to the last digit, by two computations of each side."""
    goal = _goal(records, "money", "money exact", "every sum, to the cent")
    if not records.weekly:
        return goal.unknown(_NO_RUN)
    unknown = [name for name in unverified if catalog[name].money]
    lines = [
        line for row in records.weekly
        for line in over_statuses(MoneyLine.model_validate(one) for one in row["money"] or ())
    ]  # fmt: skip
    if not lines and not unknown:
        return goal.unknown("No entity has money.")
    agree = sum(line.agrees for line in lines)
    apart = [f"{difference(line.missing, line.currency)} of {line.column}" for line in lines if not line.agrees]
    said = f"{agree} of {n_of(len(lines), 'sum')} {'agrees' if agree == 1 else 'agree'}"
    said += f"; {listed(apart)}" if apart else ""
    return goal.judged(
        said + _besides(catalog, unknown), met=agree == len(lines) and not unknown, part=agree, whole=len(lines)
    )


def _staleness(records: Records, catalog: Catalog) -> Level:
    goal = Goal("staleness", "staleness on average", f"< {FRESH.days} days", "fences of the entities")
    ages = {name: records.at - records.fresh[name] for name in catalog.entities if name in records.fresh}
    never = [entity.title for name, entity in catalog.entities.items() if name not in ages]
    if not ages:
        return goal.unknown("No entity was ever carried as a whole.")
    mean, oldest = sum(ages.values(), timedelta()) / len(ages), max(ages, key=lambda name: ages[name])
    said = f"{mean / timedelta(days=1):.2f} days over {n_of(len(ages), 'entity', 'entities')}"
    said += f", at most {age(ages[oldest])} ({oldest})" + (f"; never carried: {listed(never)}" if never else "")
    return goal.judged(said, met=mean < FRESH and not never, value=mean / timedelta(days=1))


def _trail(records: Records) -> Level:
    goal = Goal("audit_trail", "audit trail by legacy keys", "every batch that wrote", "journal and batches")
    batches, traced = records.traced["batches"], records.traced["traced"]
    if not batches:
        return goal.unknown(f"No batch has written in {PERIOD_DAYS} days.")
    said = f"{count(traced)} of {n_of(batches, 'batch', 'batches')} that wrote are in the journal"
    return goal.judged(said, met=traced == batches, part=traced, whole=batches)
