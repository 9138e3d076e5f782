"""One round: runs with edits on both sides between them, rollbacks in and out of order, a release, and a last run."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field

from hybrid_sync.contracts import EntityTask, RollbackOutcome, RollbackTask
from hybrid_sync.errors import SyncError
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.mapped import Mapped, differing, mapped
from tests.engine.worlds import run
from tests.rollbacks.flying import Flying
from tests.rollbacks.ground import Ground
from tests.rollbacks.moves import Touched, use_legacy, work_in_target
from tests.rollbacks.oracle import Place, Row, actual, expected, wrong


@dataclass
class Tally:
    """What was played and found."""

    rollbacks: int = 0
    identical: int = 0
    edits_kept: int = 0
    returned: int = 0
    defects: list[str] = field(default_factory=list)


@dataclass
class Played:
    """A run, the target around it, and what people have done since."""

    run_id: str
    before: Mapped
    after: Mapped
    keys: dict[tuple[str, str], str]
    touched: Touched = field(default_factory=set)

    @property
    def wrote(self) -> set[tuple[str, str]]:
        return differing(self.before, self.after)


class Game:
    """Rounds on one ground; a defect names its round."""

    def __init__(self, ground: Ground, rng: random.Random, tally: Tally) -> None:
        self._ground = ground
        self._rng = rng
        self._tally = tally
        self._number = 0
        self._ever_touched: Touched = set()
        self._ids: dict[Place, str] = {}
        self._settled = tally.rollbacks
        run(ground.world, "first")

    def round(self) -> None:
        """Play one round; afterwards everything is released and in step again."""
        rng = self._rng
        played = [self._play() for _ in range(rng.randint(1, 3))]
        flying = None
        if rng.random() < 0.3:
            flying, begun = self._take_off()
            played += begun
        if rng.random() < 0.7:
            undone = list(reversed(played))[: rng.randint(1, len(played))]
            for number, one in enumerate(undone):
                self._roll_back(one, undone[:number], played)
        else:
            self._roll_back(rng.choice(played), [], played, out_of_order=True)
        if flying is not None:
            self._land(flying)
        self._settle()

    # --- before the rollbacks --------------------------------------------------------------------------------

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number}"

    def _play(self) -> Played:
        ground, rng = self._ground, self._rng
        use_legacy(ground.legacy, rng)
        before = self._mapped()
        run_id = self._name("run")
        run(ground.world, run_id, profile="weekly" if rng.random() < 0.15 else "daily")
        return self._look(run_id, before)

    def _look(self, run_id: str, before: Mapped) -> Played:
        """What the run has done to the target; then people get to work there."""
        ground = self._ground
        rows = actual(ground.target)
        self._ids |= {place: row_id for place, (row_id, _) in rows.items()}
        played = Played(run_id, before, self._mapped(), _names(rows))
        played.touched = work_in_target(ground.target, self._rng, played.wrote)
        self._ever_touched |= played.touched
        return played

    def _take_off(self) -> tuple[Flying, list[Played]]:
        """A run under way, of which little or nothing is written yet."""
        rng = self._rng
        use_legacy(self._ground.legacy, rng)
        before = self._mapped()
        flying = Flying(self._ground.world, self._name("flying"))
        flying.take_off(batches=rng.randint(0, 8) if rng.random() < 0.5 else 0)
        return flying, [self._look(flying.run_id, before)] if flying.batches else []

    # --- rollbacks ---------------------------------------------------------------------------------------------

    def _roll_back(
        self, one: Played, undone: list[Played], played: list[Played], *, out_of_order: bool = False
    ) -> None:
        pre = self._mapped()
        outcome = self._undo(one.run_id, out_of_order=out_of_order)
        if self._rng.random() < 0.15:
            self._there_and_back(outcome.rollback_id, pre)
            outcome = self._undo(one.run_id, out_of_order=out_of_order)
        post = self._mapped()
        later = played[played.index(one) + 1 :]
        others = {row for other in later if other not in undone for row in other.wrote}
        native = one.touched.union(*(other.touched for other in later))
        self._tally.rollbacks += 1
        problems = self._problems(one, outcome, pre, post, native, others)
        self._tally.defects += [f"{one.run_id}: {problem}" for problem in problems]
        self._tally.identical += not problems

    def _there_and_back(self, rollback_id: str, pre: Mapped) -> None:
        """The rollback is a run like any other: undone, it leaves the target as it found it."""
        conflicts = self._undo(rollback_id, out_of_order=True).undone.conflicts
        self._tally.rollbacks += 1
        changed = differing(pre, self._mapped())
        self._tally.identical += not changed and not conflicts
        if changed or conflicts:
            self._tally.defects.append(f"{rollback_id}: undone, it left {len(changed)} rows changed, {conflicts}")

    def _undo(self, run_id: str, *, out_of_order: bool) -> RollbackOutcome:
        task = RollbackTask(run_id=run_id, out_of_order=out_of_order)
        outcome = rollback_run(self._ground.world, task)
        while outcome.more:
            outcome = rollback_run(self._ground.world, task.model_copy(update={"rollback_id": outcome.rollback_id}))
        return outcome

    def _problems(
        self, one: Played, outcome: RollbackOutcome, pre: Mapped, post: Mapped, native: Touched,
        others: set[tuple[str, str]],
    ) -> list[str]:  # fmt: skip
        reported = self._reported(outcome.rollback_id)
        referred = self._referred()
        found: list[str] = []
        for row in differing(pre, post) - one.wrote:
            found.append(f"{row} was changed although the run had not written it")
        for row in one.wrote:
            told = reported.get(one.keys.get(row, ""))
            if row in native or row in others or pre.get(row) != one.after.get(row):
                if post.get(row) != pre.get(row):
                    found.append(f"{row} was overwritten")
                elif row in post and row in native:
                    self._tally.edits_kept += 1
                    if told is None:
                        found.append(f"{row} was edited natively, and nobody was told")
            elif post.get(row) != one.before.get(row):
                kept_for_a_child = row not in one.before and row[1] in referred and told == "referenced"
                stands_aside = told == "refused" and len(reported) > 1
                if not (kept_for_a_child or stands_aside):
                    found.append(f"{row} is not as it was before the run ({told})")
        return found

    # --- afterwards --------------------------------------------------------------------------------------------

    def _land(self, flying: Flying) -> None:
        """The run in flight goes on: it must not write to what is held, nor move a fence that was set back."""
        held = set(self._held())
        fences = {entity: self._fence(entity) for entity in held}
        for entity in flying.land():
            if entity in held:
                self._tally.defects.append(f"{flying.run_id}: wrote to {entity}, which is held")
        moved = [entity for entity in held if self._fence(entity) != fences[entity]]
        self._tally.defects += [f"{flying.run_id}: moved the fence of {entity}, which is held" for entity in moved]
        with self._ground.world.connect_target() as connection:
            release(connection, sorted(held))
        for entity in flying.entities:
            self._try_to_advance(EntityTask(run_id=flying.run_id, entity=entity), held)

    def _try_to_advance(self, task: EntityTask, held: set[str]) -> None:
        """Verification is delivered once more."""
        fence = self._fence(task.entity)
        with suppress(SyncError):
            verify_entity(self._ground.world, task)
        if task.entity in held and self._fence(task.entity) != fence:
            self._tally.defects.append(f"{task.run_id}: moved the fence of {task.entity} after its rollback")

    def _settle(self) -> None:
        ground = self._ground
        with ground.world.connect_target() as connection:
            release(connection, self._held())
        run(ground.world, self._name("settle"), profile="daily")
        is_now = actual(ground.target)
        # A native edit or delete is no change of legacy: it stays until legacy changes the row.
        own = {place for place, row_id in self._ids.items() if (place[0], row_id) in self._ever_touched}
        lost = wrong(expected(ground.legacy), is_now) - own
        moved = {place for place, row_id in self._ids.items() if place in is_now and is_now[place][0] != row_id}
        self._tally.defects += [f"settle-{self._number}: {place} did not come back" for place in sorted(map(str, lost))]
        self._tally.defects += [f"settle-{self._number}: {place} has another id" for place in sorted(map(str, moved))]
        self._tally.returned += self._tally.rollbacks - self._settled if not (lost or moved) else 0
        self._settled = self._tally.rollbacks

    # --- what the target says ----------------------------------------------------------------------------------

    def _mapped(self) -> Mapped:
        return mapped(self._ground.target, self._ground.world.catalog)

    def _held(self) -> list[str]:
        with self._ground.world.connect_target() as connection:
            return [hold.entity for hold in holds(connection)]

    def _fence(self, entity: str) -> object:
        return self._ground.target.execute(
            "select fence, version from hybrid_sync.fence where entity = %s", (entity,)
        ).fetchone()

    def _reported(self, rollback: str) -> dict[str, str]:
        rows = self._ground.target.execute(
            "select entity, source, key, reason from hybrid_sync.rollback_conflict where run_id = %s", (rollback,)
        ).fetchall()
        return {
            f"{entity} {' '.join(map(str, [source, *key] if entity == 'messages' else key))}": reason
            for entity, source, key, reason in rows
        }

    def _referred(self) -> set[str]:
        rows = self._ground.target.execute(
            "select visit_id from attachments union select person_id from attachments"
            " union select manager_id from people union select clinic_id from people union select person_id from visits"
            " union select best_invoice_id from visits union select visit_id from invoices"
            " union select person_id from messages union select person_id from grants"
        ).fetchall()
        return {str(row[0]) for row in rows}


def _names(rows: dict[Place, tuple[str, Row]]) -> dict[tuple[str, str], str]:
    """(entity, id) -> the synced row's name, as a conflict is named."""
    return {(entity, row_id): f"{entity} {' '.join(map(str, key))}" for (entity, key), (row_id, _) in rows.items()}
