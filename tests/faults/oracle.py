"""The judge: after quiet, every legacy row is in the target as it is in legacy, or waits in quarantine for a cause that
the judge finds by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from tests.faults.claims import Sides, flattery, true_outcome
from tests.faults.expected import (
    SOURCES,
    Key,
    LegacyRow,
    Source,
    TargetRow,
    Values,
    base_keys,
    legacy_rows,
    target_rows,
)  # fmt: skip
from tests.faults.people import People

Kind = Literal["missed", "doubled", "reversed", "wrong_ids", "flattered", "returned", "touched", "unmade", "stuck"]


@dataclass(frozen=True)
class Defect:
    kind: Kind
    text: str
    differs: tuple[str, str, Key] | None = None
    """The row that is there and not as in legacy."""


_VERSIONS = ("rev", "office_rev", "size")


class Oracle:
    """Judges one episode: it remembers which UUID each key had first."""

    def __init__(self, legacy: str, target: str, people: People) -> None:
        self._dsn = legacy
        self._people = people
        self._legacy = psycopg.connect(legacy, autocommit=True, options="-c TimeZone=UTC")
        self._target = psycopg.connect(target, autocommit=True, options="-c TimeZone=UTC")
        self._first: dict[tuple[str, str, Key], str] = {}
        self._gone: set[tuple[str, str, Key]] = set()
        self._ahead: set[str] = set()

    def reconnect(self) -> None:
        """After legacy has cut every wire."""
        self._legacy.close()
        self._legacy = psycopg.connect(self._dsn, autocommit=True, options="-c TimeZone=UTC")

    def close(self) -> None:
        self._legacy.close()
        self._target.close()

    def forget(self, entities: Iterable[str]) -> None:
        """Their tables begin anew: whatever UUIDs their rows had."""
        for place in [place for place in self._first if place[0] in entities]:
            del self._first[place]

    def undone(self) -> None:
        """What an undo takes back goes away, or back to an older version, and rightly."""
        self._target.execute("delete from probe.violation where kind = 'reversed' or seen in ('deleted', 'DELETE')")

    def keys(self) -> set[tuple[str, str, Key]]:
        """Every key of either side as it is now."""
        side = self._read([])
        return {(*place, key) for rows in (side.legacy, side.target) for place in rows for key in rows[place]}

    def expect_gone(self, keys: Iterable[tuple[str, str, Key]]) -> set[tuple[str, str, Key]]:
        """These were there before a day on which rows went unseen; returns those that legacy has no more."""
        side = self._read([])
        left = {key for key in keys if key[2] not in side.legacy[key[:2]] and key[2] not in side.unjoined[key[:2]]}
        self._gone |= left
        return left

    def expect_to_go_back(self) -> None:
        """After a blind day: rows that are ahead of legacy and could not follow it, being refused, excluded or gone.

        When they can, their versions go back, and rightly.
        """
        side = self._read([])
        for place, rows in side.target.items():
            for key, row in rows.items():
                legacy = side.legacy[place].get(key)
                if legacy is None or any(_version(row.values, c) > _version(legacy.values, c) for c in _VERSIONS):
                    self._ahead.add(row.id)

    def unjoined(self) -> int:
        """How many rows of the target lack, in legacy, the row that theirs is joined to."""
        side = self._read([])
        return sum(len(keys & side.target[place].keys()) for place, keys in side.unjoined.items())

    def judge(self) -> list[Defect]:
        """Everything that is wrong now; both sides must be quiet."""
        found: list[Defect] = []
        side = self._read(found)
        found += self._ids(side)
        blocked = self._blocked(side)
        for source in SOURCES:
            found += self._rows(source, side, blocked)
        found += self._written_once(side)
        found += self._violations()
        return found

    def _read(self, found: list[Defect]) -> Sides:
        side = Sides()
        for source in SOURCES:
            place = (source.entity, source.name)
            side.legacy[place] = self._people.seen(source, legacy_rows(self._legacy, source))
            rows = target_rows(self._target, source)
            for key, times in Counter(key for key, _ in rows).items():
                if times > 1:
                    found.append(Defect("doubled", f"{place} {key} stands {times} times in the target"))
            side.target[place] = dict(rows)
            texts = self._people.returned(source, side.legacy[place], side.target[place])
            found += [Defect("returned", text) for text in texts]
            side.unjoined[place] = base_keys(self._legacy, source) - side.legacy[place].keys()
            for key in side.target[place].keys() - side.legacy[place].keys() - side.unjoined[place]:
                if source.policy == "hard":
                    found.append(Defect("missed", f"{place} {key} is not in legacy and still in the target"))
                elif (*place, key) not in self._gone:
                    found.append(Defect("doubled", f"{place} {key} is in the target and was never in legacy"))
                elif source.policy == "soft" and not side.target[place][key].marked:
                    found.append(Defect("missed", f"{place} {key} has gone from legacy and is not marked"))
        rows_failed = self._target.execute(
            "select entity, source, key from hybrid_sync.failed_record where status <> 'resolved'"
        ).fetchall()
        for entity, name, failed in rows_failed:
            side.failed.setdefault((entity, name), set()).add(tuple(failed))
        natives = self._target.execute("select email from people where legacy_person_id is null").fetchall()
        side.native = {row[0] for row in natives}
        return side

    # --- ids -------------------------------------------------------------------------------------------------

    def _ids(self, side: Sides) -> list[Defect]:
        found = []
        for (entity, name), rows in side.target.items():
            for key, row in rows.items():
                first = self._first.setdefault((entity, name, key), row.id)
                if first != row.id:
                    found.append(Defect("wrong_ids", f"{entity}/{name} {key} was {first} and is {row.id}"))
        return found

    # --- rows ------------------------------------------------------------------------------------------------

    def _blocked(self, side: Sides) -> set[tuple[str, str, Key]]:
        """Rows that cannot be written: refused, their parent is not there, or somebody has their unique value.

        That somebody must be a native row, or a row that is itself blocked and so could not give the value back.
        """
        blocked: set[tuple[str, str, Key]] = set()
        for source in SOURCES:
            place = (source.entity, source.name)
            for key, row in side.legacy[place].items():
                if not row.excluded and (row.refused or self._orphan(source, row, side)):
                    blocked.add((*place, key))
        people = next(source for source in SOURCES if source.unique)
        place = (people.entity, people.name)
        holders = {row.values["email"]: key for key, row in side.target[place].items()}
        grown = True
        while grown:
            grown = False
            for key, row in side.legacy[place].items():
                wanted = row.values["email"]
                holder = holders.get(wanted)
                stuck = holder is not None and holder != key and (
                    (*place, holder) in blocked or holder not in side.legacy[place]
                )  # fmt: skip
                if (wanted in side.native or stuck) and (*place, key) not in blocked:
                    blocked.add((*place, key))
                    grown = True
        return blocked

    def _orphan(self, source: Source, row: LegacyRow, side: Sides) -> bool:
        for column, parent in source.parents.items():
            legacy = row.parents[column]
            if legacy is None:
                if parent.required:
                    return True
            elif not parent.deferred and (legacy,) not in self._parents(parent.entity, side):
                return True
        return False

    def _parents(self, entity: str, side: Sides) -> dict[Key, TargetRow]:
        [place] = [place for place in side.target if place[0] == entity]
        return side.target[place]

    def _rows(self, source: Source, side: Sides, blocked: set[tuple[str, str, Key]]) -> list[Defect]:
        place = (source.entity, source.name)
        found: list[Defect] = []
        failed = side.failed.get(place, set())
        for key, row in side.legacy[place].items():
            name = f"{source.entity}/{source.name} {key}"
            waits = False
            if row.excluded:
                if source.policy == "soft" and key in side.target[place] and not side.target[place][key].marked:
                    found.append(Defect("missed", f"{name} has left its rule and is not marked"))
            else:
                if (*place, key) in blocked:
                    waits = True
                else:
                    there = side.target[place].get(key)
                    if there is None:
                        found.append(Defect("missed", f"{name} is not in the target"))
                        continue
                    if there.marked:
                        found.append(Defect("missed", f"{name} came back and is still marked"))
                    differing = sorted(c for c, v in row.values.items() if there.values[c] != v)
                    if differing:
                        found.append(Defect("missed", f"{name} differs in {', '.join(differing)}", (*place, key)))
                    unlinked = self._references(source, key, row, there, side, found)
                    waits = unlinked
            if waits and key not in failed:
                why = "it is blocked" if (*place, key) in blocked else "a parent is not there"
                told = f"{name} cannot be complete ({why}), and is not among the failed records"
                found.append(Defect("missed", told, (*place, key)))
            if not waits and key in failed:
                found.append(Defect("stuck", f"{name} is complete or excluded, and still a failed record"))
        for key in failed - side.legacy[place].keys() - side.unjoined[place]:
            found.append(Defect("stuck", f"{source.entity}/{source.name} {key} failed and was never committed"))
        return found

    def _references(
        self, source: Source, key: Key, row: LegacyRow, there: TargetRow, side: Sides, found: list[Defect]
    ) -> bool:
        """Compare the references; True when one still waits for its parent."""
        waits = False
        place, name = (source.entity, source.name, key), f"{source.entity}/{source.name} {key}"
        for column, parent in source.parents.items():
            legacy, reference = row.parents[column], there.references[column]
            if legacy is None:
                if reference is not None:
                    found.append(Defect("missed", f"{name}.{column} is still set", place))
                continue
            row_of_parent = self._parents(parent.entity, side).get((legacy,))
            if row_of_parent is None:
                waits = True
            elif reference is None:
                told = f"{name}.{column} is not linked"
                found.append(Defect("missed", told, place))
            elif reference != row_of_parent.id:
                # A row of an older version has that version's parents; a row of this version must have this one's.
                kind: Kind = "wrong_ids" if there.values["rev"] == row.values["rev"] else "missed"
                told = f"{name}.{column} points to {reference}, not to {row_of_parent.id}"
                found.append(Defect(kind, told, place))
        return waits

    # --- what the target remembers ---------------------------------------------------------------------------

    def _written_once(self, side: Sides) -> list[Defect]:
        """The journal inserted each key once more than it deleted it, and the batches' results agree with it."""
        found = []
        inserted, deleted = self._journalled("insert"), self._journalled("delete")
        for entity, key in self._target.execute("select relation, key from probe.taken_back").fetchall():
            deleted.update((entity, source.name, tuple(key)) for source in SOURCES if source.entity == entity)
        for (entity, name, key), times in inserted.items():
            if entity == "messages" and self._people.wrote(key):
                continue  # the before-images of its deletes are erased, too
            if entity == "people" and key[0] in self._people.erased:
                continue  # an undo has deleted the row, and what it kept of it is erased
            if times > 1 + deleted[entity, name, key]:
                found.append(Defect("doubled", f"{entity}/{name} {key} was inserted {times} times"))
        told: dict[str, int] = dict(
            self._target.execute(
                "select entity, sum((result->>'inserted')::int) from hybrid_sync.batch_done group by 1"
            ).fetchall()
        )
        journalled = Counter(entity for entity, _, _ in inserted.elements())
        for entity in {source.entity for source in SOURCES}:
            if int(told.get(entity) or 0) != journalled[entity]:
                found.append(
                    Defect(
                        "doubled",
                        f"{entity}: batches tell {told.get(entity)} inserts, the journal {journalled[entity]}",
                    )
                )
        return found

    def _journalled(self, operation: str) -> Counter[tuple[str, str, Key]]:
        """How often each key was inserted, or deleted."""
        rows = self._target.execute(
            "select entity, source, keys from hybrid_sync.journal where operation = %s", (operation,)
        ).fetchall()
        counted: Counter[tuple[str, str, Key]] = Counter()
        for entity, name, keys in rows:
            width = 2 if entity == "memberships" else 1
            counted.update((entity, name, tuple(keys[at : at + width])) for at in range(0, len(keys), width))
        return counted

    def live(self, entity: str, source: str) -> int:
        """How many rows of the source the target holds."""
        return len(self._read([]).target[entity, source])

    def flattered(self, run_id: str) -> list[Defect]:
        """Where the clean run that has just ended says more than there is; or, all being well, less."""
        report = self._report(run_id)
        if report is None:
            return []  # it never began, and says so
        side, left_alone = self._read([]), self.told_as_drift(run_id)
        return [Defect("flattered", text) for text in flattery(report, side, left_alone)]

    def true_outcome(self, run_id: str) -> str:
        """How the clean run that has just ended ought to have ended."""
        report = self._report(run_id)
        return true_outcome(report, self._read([]), self.told_as_drift(run_id)) if report else "failed"

    def _report(self, run_id: str) -> Mapping[str, Any] | None:
        """What the run has told of itself, and the target keeps."""
        row = self._target.execute("select report from hybrid_sync.run where run_id = %s", (run_id,)).fetchone()
        return row[0] if row else None

    def marked_as_queued(self) -> set[tuple[str, str, Key]]:
        """Open failed records that a message must have told of; of what was undone none does: runs alone read it."""
        rows = self._target.execute(
            "select entity, source, key from hybrid_sync.failed_record where status = 'open' and queued_at is not null"
            " and reason <> 'rolled_back'"
        ).fetchall()
        return {(entity, source, tuple(key)) for entity, source, key in rows}

    def failures(self, run_id: str) -> str:
        """What failed in the run: states, entities and codes."""
        rows = self._target.execute(
            "select state, coalesce(entity, 'the run'), error from hybrid_sync.run_failure where run_id = %s"
            " union select 'guard', entity, failure->>'code' from hybrid_sync.run_entity"
            " where run_id = %s and failure is not null order by 1, 2, 3",
            (run_id, run_id),
        ).fetchall()
        return ", ".join(f"{state} of {of}: {error}" for state, of, error in rows) or "no failure is recorded"

    def told_as_drift(self, run_id: str) -> set[tuple[str, str, Key]]:
        """Rows of which the run says that somebody has changed them in the target, so that it leaves them alone."""
        rows = self._target.execute(
            "select entity, source, key from hybrid_sync.difference where run_id = %s and origin in ('target', 'both')",
            (run_id,),
        ).fetchall()
        return {(entity, source, tuple(key)) for entity, source, key in rows}

    def _violations(self) -> list[Defect]:
        """What the target's own triggers saw, once."""
        rows: list[tuple[Any, ...]] = self._target.execute(
            "delete from probe.violation returning kind, relation, id, seen"
        ).fetchall()
        return [
            Defect(kind, f"{relation} {row}: {seen}")
            for kind, relation, row, seen in rows
            if kind != "reversed" or str(row) not in self._ahead
        ]


def _version(values: Values, column: str) -> int:
    return int(values.get(column) or 0)
