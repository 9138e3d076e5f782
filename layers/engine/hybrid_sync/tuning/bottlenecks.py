"""Which part of a run takes longer than its work explains, in a sentence, and what to do about it.

A share of the run alone names nothing: something always takes the most.  So each rule asks for seconds that a person
would notice, for a part of the run that counts, and for a price per row or message far above what a healthy server
takes, and loaded ones too: what a message usually takes here is taken off first.
"""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.timing import CONNECT, REFUSED, Times
from hybrid_sync.tuning.facts import Facts, Rows
from hybrid_sync.tuning.model import Bottleneck
from hybrid_sync.tuning.spent import SIDES, RunTimes, StepTimes, by_entity, seconds

FLOOR = 1.0
"""Seconds, over all workers, below which nobody need do anything."""
SHARE = 0.2
"""Of the run's time."""
SLOW_ROW = 0.002
"""Seconds: writing takes some 0.00002 to 0.0002 a row."""
LONG_MESSAGE = 5.0
"""Seconds: a scan that takes less is no trouble."""
FAR = 0.003
"""Seconds of the quickest message: within a region it takes less than one thousandth."""
MANY = 200
"""Messages, of which the quickest shows what the network costs; of a few it may be one that asks for much."""
_WRITING = ("update", "insert", "isolate")
_USUAL = ("map", "record", "find", "remember")
"""Steps whose messages ask for little and wait for nobody."""


class _Judge:
    """One run."""

    def __init__(self, times: RunTimes, facts: Facts) -> None:
        self._times = times
        self._facts = facts
        self._whole = times.seconds
        self._usual = {side: self._usual_of(side) for side in SIDES}

    def _usual_of(self, side: str) -> float:
        """Seconds of a message that asks for little: the network, and how busy everything is."""
        found = [step.waits[side] for step in self._times.steps if step.step in _USUAL and side in step.waits]
        number = sum(one.number for one in found)
        return sum(map(seconds, found)) / number if number else 0.0

    def _beyond(self, steps: list[StepTimes], names: tuple[str, ...], side: str) -> tuple[float, Times | None]:
        """Seconds that these steps have waited for a side beyond what their messages usually take; and the waits."""
        waits = [step.waits[side] for step in steps if step.step in names and side in step.waits]
        if not waits:
            return 0.0, None
        whole = waits[0]
        for one in waits[1:]:
            whole = whole.plus(one)
        return max(seconds(whole) - whole.number * self._usual[side], 0.0), whole

    def _counts(self, spent: float, floor: float = FLOOR, share: float = SHARE) -> bool:
        return spent >= floor and spent >= share * self._whole

    def _bottleneck(
        self, code: str, entity: str, spent: float, sentence: str, remedy: str, ddl: str = ""
    ) -> Bottleneck:
        share = min(spent / self._whole, 1.0) if self._whole else 0.0
        return Bottleneck(
            code=code, entity=entity, seconds=round(spent, 3), share=round(share, 4), sentence=sentence, remedy=remedy,
            ddl=ddl,
        )  # fmt: skip

    # --- an entity's ----------------------------------------------------------------------------------------

    def of_entity(self, entity: str, steps: list[StepTimes]) -> Iterator[Bottleneck]:
        rows = self._facts.rows.get(entity, Rows())
        yield from self._deletes(entity, steps, rows)
        yield from self._locks(entity, steps, rows)
        yield from self._writes(entity, steps, rows)
        yield from self._legacy(entity, steps, rows)

    def _deletes(self, entity: str, steps: list[StepTimes], rows: Rows) -> Iterator[Bottleneck]:
        spent, _ = self._beyond(steps, ("delete",), "target")
        missing = self._facts.unindexed.get(entity, ())
        slow = rows.deleted and spent / rows.deleted >= SLOW_ROW
        if not (missing and slow and self._counts(spent, FLOOR / 4, SHARE / 2)):
            return
        names = " and ".join(f"{one.child} (about {one.rows:,} rows) for its column {one.column}" for one in missing)
        yield self._bottleneck(
            "missing_index", entity, spent,
            f"Deleting {rows.deleted:,} rows of {entity} took {spent:.1f} s: each time the target reads all of {names},"
            " which no index serves.",
            "Create the index; deletes then look up a few rows.", "\n".join(one.ddl for one in missing),
        )  # fmt: skip

    def _locks(self, entity: str, steps: list[StepTimes], rows: Rows) -> Iterator[Bottleneck]:
        spent, waits = self._beyond(steps, ("lock",), "target")
        comparing, compares = self._beyond(steps, ("compare",), "target")
        if compares and comparing / max(rows.compared, 1) >= SLOW_ROW and compares.most >= 1_000_000:
            spent, waits = spent + comparing, compares if waits is None else waits.plus(compares)
        if waits and waits.most >= 1_000_000 and self._counts(spent):
            yield self._bottleneck(
                "lock_waits", entity, spent,
                f"{f'Batches of {entity}' if entity else 'Steps'} waited {spent:.1f} s for locks in the target,"
                f" {waits.most / 1e6:.1f} s at once.",
                "While a run waits, `hybrid-sync status RUN` names who holds what; end that session's transaction, or"
                " move what holds locks for long (imports, schema changes, vacuum full) to another hour. Behind a"
                " pooler in transaction mode: look whether its pool is used up.",
            )  # fmt: skip

    def _writes(self, entity: str, steps: list[StepTimes], rows: Rows) -> Iterator[Bottleneck]:
        spent, waits = self._beyond(steps, _WRITING, "target")
        if not (waits and rows.written and spent / rows.written >= SLOW_ROW and self._counts(spent)):
            return
        each = f"{spent / rows.written * 1000:,.1f} ms a row"
        triggers = self._facts.triggers.get(entity, ())
        if not triggers:
            yield self._bottleneck(
                "slow_writes",
                entity,
                spent,
                f"Writing {rows.written:,} rows of {entity} took {spent:.1f} s, {each}, and no trigger of its table"
                " fires.",
                "Look at the target's disk and processor in that hour, and drop indexes of the table that nobody uses.",
            )
            return
        slowest = max(triggers, key=lambda one: one.millis or 0.0)
        names = ", ".join(one.name for one in triggers)
        counted = f" (the target counts {slowest.millis:,.1f} ms a call of {slowest.name})" if slowest.millis else ""
        yield self._bottleneck(
            "slow_trigger", entity, spent,
            f"Writing {rows.written:,} rows of {entity} took {spent:.1f} s, {each}, and these triggers fire for them:"
            f" {names}{counted}.",
            "Let the trigger do less for each row: once for a statement (FOR EACH STATEMENT with a transition table),"
            " later (a queue that a job empties), or only where its columns change (UPDATE OF, WHEN).",
        )  # fmt: skip

    def _legacy(self, entity: str, steps: list[StepTimes], rows: Rows) -> Iterator[Bottleneck]:
        finding, found = self._beyond(steps, ("detect",), "legacy")
        reading, _ = self._beyond(steps, ("read",), "legacy")
        if found and found.most >= LONG_MESSAGE * 1e6 and self._counts(finding):
            yield self._bottleneck(
                "legacy_scan", entity, finding,
                f"Legacy took {finding:.1f} s to find what has changed in {entity}: it reads all of its tables.",
                "`hybrid-sync advise` names the index that is missing, if one is; else let runs carry it less often"
                " (`hybrid-sync usage`).",
            )  # fmt: skip
        elif reading / max(rows.read, 1) >= SLOW_ROW and self._counts(reading, 2 * FLOOR):
            yield self._bottleneck(
                "legacy_scan",
                entity,
                reading,
                f"Legacy took {reading:.1f} s to read {rows.read:,} rows of {entity},"
                f" {reading / max(rows.read, 1) * 1000:,.1f} ms a row.",
                "`hybrid-sync advise` names the index that its key, or a table that it joins, lacks.",
            )

    # --- the run's ----------------------------------------------------------------------------------------------

    def of_run(self, steps: list[StepTimes]) -> Iterator[Bottleneck]:
        yield from self._locks("", steps, Rows())
        for side in SIDES:
            yield from self._pool(side)
            yield from self._distance(side)
        yield from self._starts()

    def _pool(self, side: str) -> Iterator[Bottleneck]:
        refused, connected = (self._times.apart.get(f"{name} {side}") for name in (REFUSED, CONNECT))
        parameter = "LegacyConnections" if side == "legacy" else "TargetConnections"
        remedy = (
            f"Give the role or the pooler more connections, or lower {parameter} to what it has; see who else holds"
            f" some in {side}'s pg_stat_activity."
        )
        if refused and refused.number >= 3 and refused.number >= 0.1 * self._times.calls:
            yield self._bottleneck(
                "throttled_pool", "", seconds(refused),
                f"{side.capitalize()}, or its pooler, had no connection left {refused.number} times in"
                f" {self._times.calls} calls: each time a step waited for its next attempt, 5 s and more.", remedy,
            )  # fmt: skip
        elif connected and seconds(connected) >= connected.number and self._counts(seconds(connected), 2 * FLOOR):
            yield self._bottleneck(
                "throttled_pool", "", seconds(connected),
                f"A connection to {side} took {seconds(connected) / connected.number:.1f} s on average,"
                f" {connected.number} times.", remedy,
            )  # fmt: skip

    def _distance(self, side: str) -> Iterator[Bottleneck]:
        waits = [step.waits[side] for step in self._times.steps if side in step.waits]
        least = min((one.least for one in waits), default=0) / 1e6
        number = sum(one.number for one in waits)
        spent = least * number
        if number >= MANY and least >= FAR and self._counts(spent, 2 * FLOOR, 2 * SHARE):
            yield self._bottleneck(
                "round_trips",
                "",
                spent,
                f"Each message to {side} takes {least * 1000:.1f} ms at least, and the run sent {number:,}.",
                f"Deploy into the region, and the VPC, of {side}; larger batches (BatchSize) send fewer messages.",
            )

    def _starts(self) -> Iterator[Bottleneck]:
        runs, cold, spent = self._facts.starts
        if runs >= 5 and cold > runs / 2 and spent >= cold:
            yield self._bottleneck(
                "cold_starts",
                "",
                spent,
                f"{cold} of the last {runs} runs of a few rows waited for a worker to start,"
                f" {spent / cold:.1f} s each.",
                "Set KeepWarm to true, which keeps one ready for some cents a month.",
            )


def bottlenecks(times: RunTimes, facts: Facts) -> tuple[Bottleneck, ...]:
    """The gravest first; empty where the run took what its work takes."""
    judge = _Judge(times, facts)
    entities = by_entity(times)
    found = [one for entity, steps in entities.items() if entity for one in judge.of_entity(entity, steps)]
    return tuple(sorted([*found, *judge.of_run(entities.get("", []))], key=lambda one: -one.share))
