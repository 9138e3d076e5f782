"""State transitions of the flow, as Step Functions bills them: each state that is entered, each retry of one.

Every call of a function is one.  The states between them (`Choice`, `Pass`, `Map`, the end) follow from what a function
answers, so each step knows how many its answer leads to; a run of the whole flow that breaks off before its
verification may be billed a few fewer.  A test compares the sum with the states that the emulator has entered.
"""

from __future__ import annotations

from pydantic import BaseModel

from hybrid_sync.contracts import (
    DeleteResult,
    EntityVerdict,
    LinkResult,
    PlannedEntity,
    PlannedRun,
    Profile,
    ReconciledEntity,
    RollbackOutcome,
    RollbackTask,
    RunFailure,
    RunOutcome,
    SyncedKeys,
)

RECONCILES = (Profile.weekly, Profile.verify)
_ONE_MORE = ("SyncBatch", "HealBatch", "CompareSegment", "PlanEntity")
"""States whose recorded failure leads to one more: BatchDone, HealDone, SegmentDone, AnyMore."""


def is_state(given: BaseModel) -> int:
    """Whether a call with this message is a task of the flow: all are but rollbacks by hand."""
    return int(not isinstance(given, RollbackTask) or given.by_policy)


def led_to(step: str, given: BaseModel, answer: BaseModel | None) -> int:
    """States other than tasks that this answer of a step leads to."""
    match answer:
        case SyncedKeys(whole=True):
            return 2  # KeysSynced, TakeWholeWay; ChooseWay is counted by what follows
        case SyncedKeys():
            return 3 + (_ended(answer.outcome) if answer.outcome else 0)  # ChooseWay, KeysSynced, TakeOutcome
        case PlannedRun():
            ends = sum(task.portion == "end" for wave in answer.waves for task in wave)  # each has its EntityDone
            return planned(len(answer.waves), len(answer.entities), answer.profile) + ends
        case PlannedEntity(portion="end"):
            return 2  # AnyBatches, AnyMore
        case PlannedEntity():
            # AnyBatches; Batches, AnythingToSettle; AnyMore behind SettleUniques
            return 1 + (2 + int(answer.settles)) * int(answer.batches > 0)
        case ReconciledEntity(segments=0):
            # AnySegments, unless it has answered before; AnyHealing, HealBatches
            return int(step != "confirm_differences") + 1 + int(answer.batches > 0)
        case ReconciledEntity():
            return 2  # AnySegments, Segments
        case LinkResult() | DeleteResult() | EntityVerdict():
            return 1  # whether anything is left
        case RunOutcome():
            return _ended(answer)
        case RollbackOutcome() if is_state(given):
            return 1 if answer.more else 2  # AnythingLeftToSettle, the end
        case None if isinstance(given, RunFailure):
            return int(given.state in _ONE_MORE)
        case _:
            return 0


def planned(waves: int, entities: int, profile: Profile) -> int:
    """Of a run planned so: each entity ends once in each of its maps.

    ChooseWay, Waves, Entities of each wave, EntityDone or NextEntity; Reconciles, ReconcileEntities, ReconcileDone;
    VerifyEntities, VerifyDone, DescribeEnd.
    """
    reconciles = 1 + entities if profile in RECONCILES else 0
    return 1 + 1 + waves + entities + 1 + reconciles + 1 + entities + 1


def _ended(outcome: RunOutcome) -> int:
    """KeptItsPromises, and the state in which the execution ends; a failed run goes on with a task."""
    return 1 if outcome.status == "failed" and "code" not in outcome.summary else 2
