"""What a run says of itself, held against what both databases hold: a report that says more than that flatters.

Everything is counted here once more, row by row and in Python, from the oracle's own reading; of the engine only the
report that it kept is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tests.faults.expected import SOURCES, Key, LegacyRow, Source, TargetRow

Place = Literal["current", "stale", "absent", "excluded"]
Row = tuple[str, str, Key]

_RANKS = {"failed": 0, "degraded": 1, "succeeded": 2}
_SUMS = {"–": 0, "NO": 0, "explained": 1, "yes": 2}
_MONEY = {"invoices": "total", "receipts": "total"}
_PLACES: tuple[Place, ...] = ("current", "stale", "absent", "excluded")


@dataclass
class Sides:
    """Both databases, read once, by entity and source."""

    legacy: dict[tuple[str, str], dict[Key, LegacyRow]] = field(default_factory=dict)
    target: dict[tuple[str, str], dict[Key, TargetRow]] = field(default_factory=dict)
    failed: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    native: set[str] = field(default_factory=set)
    """E-mail addresses of people who were born natively."""
    unjoined: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    """Keys whose own row is in legacy, and lacks the one that it is joined to."""

    def place(self, source: Source, key: Key, row: LegacyRow) -> Place:
        """Where a legacy row is, by nothing but what stands in both databases."""
        there = self.target[source.entity, source.name].get(key)
        if row.excluded:
            return "excluded"
        if there is None or there.marked:
            return "absent"
        same = all(there.values[column] == value for column, value in row.values.items())
        return "current" if same and all(self._refers(source, column, row, there) for column in source.parents) \
            else "stale"  # fmt: skip

    def _refers(self, source: Source, column: str, row: LegacyRow, there: TargetRow) -> bool:
        legacy = row.parents[column]
        if legacy is None:
            return there.references[column] is None
        [place] = [place for place in self.target if place[0] == source.parents[column].entity]
        parent = self.target[place].get((legacy,))
        return parent is not None and there.references[column] == parent.id


@dataclass
class _Truth:
    """Of one entity, in rows and in amounts by (currency, status)."""

    rows: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    target: int = 0
    amounts: dict[tuple[str, str | None], dict[str, Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Decimal))
    )

    @property
    def adds_up(self) -> str:
        if self.missing:
            return "NO"
        return "explained" if self.rows["stale"] or self.rows["absent"] else "yes"


def flattery(report: Mapping[str, Any], sides: Sides, left_alone: set[Row]) -> Iterator[str]:
    """What the report says and the databases do not; of a clean run of whole entities, with both sides quiet since.

    `left_alone` are rows of which the run has told that somebody changed them in the target.
    """
    truths = {entity["entity"]: _truth(entity["entity"], sides, left_alone) for entity in report["entities"]}
    for entity in report["entities"]:
        if entity["conservation"] is not None:
            yield from _of_entity(entity, truths[entity["entity"]])
    true = _outcome(truths)
    if _RANKS[report["status"]] > _RANKS[true]:
        yield f"{report['run_id']} says {report['status']}, and was {true}"
    worst = min((truth.adds_up for truth in truths.values()), key=_SUMS.__getitem__)
    if _SUMS[report["adds_up"]] > _SUMS[worst]:
        yield f"{report['run_id']} says that it adds up: {report['adds_up']}, and it is: {worst}"


def true_outcome(report: Mapping[str, Any], sides: Sides, left_alone: set[Row]) -> str:
    """How the run ought to have ended, all having gone well."""
    return _outcome({e["entity"]: _truth(e["entity"], sides, left_alone) for e in report["entities"]})


def _outcome(truths: Mapping[str, _Truth]) -> str:
    sums = {truth.adds_up for truth in truths.values()}
    if "NO" in sums:
        return "failed"
    return "degraded" if "explained" in sums else "succeeded"  # the domain's catalog tolerates nothing


def _truth(entity: str, sides: Sides, left_alone: set[Row]) -> _Truth:
    truth = _Truth()
    for source in SOURCES:
        if source.entity != entity:
            continue
        place = (source.entity, source.name)
        truth.missing += len(sides.unjoined[place])
        for key, row in sides.legacy[place].items():
            where = "current" if (*place, key) in left_alone else sides.place(source, key, row)
            truth.rows[where] += 1
            _add(truth, entity, row.values, where)
        for there in sides.target[place].values():
            if not there.marked:
                truth.target += 1
                _add(truth, entity, there.values, "target")
    return truth


def _add(truth: _Truth, entity: str, values: Mapping[str, Any], where: str) -> None:
    if entity in _MONEY:
        line = truth.amounts[values.get("currency", "USD"), values.get("status")]
        line[where] += Decimal(values[_MONEY[entity]])
        line[f"{where}_rows"] += 1


def _of_entity(told: Mapping[str, Any], truth: _Truth) -> Iterator[str]:
    name, rows = told["entity"], told["conservation"]
    true = {**{place: truth.rows[place] for place in _PLACES}, "missing": truth.missing, "target": truth.target,
            "in_flight": 0, "legacy": truth.rows.total() + truth.missing}  # fmt: skip
    true["not current"] = true["stale"] + true["absent"]
    said = {**rows, "not current": rows["stale"] + rows["absent"]}
    for term, count in true.items():
        if _is_too_much(term, said[term], count):
            yield f"{name}: the report says {said[term]} rows {term}, and there are {count}"
    if _SUMS[told["adds_up"]] > _SUMS[truth.adds_up]:
        yield f"{name}: the report says that it adds up: {told['adds_up']}, and it is: {truth.adds_up}"
    due = true["legacy"] - true["excluded"]
    if due and told["success_rate"] - true["current"] / due > 1e-9:
        yield f"{name}: the report says a success rate of {told['success_rate']}, and it is {true['current']}/{due}"
    yield from _of_money(name, told["money"], truth)


def _is_too_much(term: str, said: int, true: int) -> bool:
    """Whether that many rows flatter; a row that is told as failed and has come does not."""
    if term in ("current", "target"):
        return said > true
    if term in ("not current", "missing", "absent", "absent_rows"):
        return said < true
    return term not in ("stale", "stale_rows") and said != true


def _of_money(name: str, lines: list[Mapping[str, Any]], truth: _Truth) -> Iterator[str]:
    told = {(line["currency"], line["status"]): line for line in lines}
    for pair in told.keys() | truth.amounts.keys():
        line, true = told.get(pair), truth.amounts[pair]
        if line is None:
            yield f"{name}: the report has no line of {pair}"
            continue
        counts = {f"{place}_rows": int(true[f"{place}_rows"]) for place in _PLACES[1:]}
        counts["rows"] = sum(int(true[f"{place}_rows"]) for place in _PLACES)
        for term, count in counts.items():
            if _is_too_much(term, line[term], count):
                yield f"{name} {pair}: the report says {line[term]} {term}, and there are {count}"
        legacy = sum((true[place] for place in _PLACES), Decimal())
        sums = {**{place: true[place] for place in (*_PLACES, "target")}, "legacy": legacy,
                "missing": legacy - true["excluded"] - true["target"]}  # fmt: skip
        as_many = all(line[term] == count for term, count in counts.items())
        for term, amount in sums.items():
            # Where the report counts a row as absent that has come, its amount is told as absent, too.
            if Decimal(line[term]) != amount and (as_many or term in ("legacy", "excluded")):
                yield f"{name} {pair}: the report says {line[term]} {term}, and it is {amount}"
        if line["agrees"] and (true["stale_rows"] or true["absent_rows"]):
            yield f"{name} {pair}: the report says that money agrees, and rows are stale or absent"
