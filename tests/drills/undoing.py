"""A mass update that was a mistake, taken back: the run that carried it is rolled back, once legacy is right again."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackOutcome
from hybrid_sync.services.messages.answers import Released
from hybrid_sync.services.messages.holds import ReleaseAsked
from hybrid_sync.services.messages.undoing import RollbackAsked
from tests.drills.ground import Ground, NotWell
from tests.drills.play import Night


def mass_update_undone(night: Night) -> None:
    """Every price in legacy has grown by a million, and a run has carried that."""
    ground = night.ground
    ground.legacy("update dispatch_payment set total_price = total_price + 1000000")
    run_id = ground.carry()
    ground.legacy("update dispatch_payment set total_price = total_price - 1000000")
    night.person()
    held = _rolled_back(ground, run_id)
    night.until_named()
    ground.deployment.ask("release", ReleaseAsked(entities=held), Released, patient=True)
    ground.carry()


def _rolled_back(ground: Ground, run_id: str) -> tuple[str, ...]:
    """The entities that it leaves held."""
    asked = RollbackAsked(run_id=run_id)
    done = ground.deployment.ask("rollback", asked, RollbackOutcome, patient=True)
    while done.more:
        asked = asked.model_copy(update={"rollback_id": done.rollback_id})
        done = ground.deployment.ask("rollback", asked, RollbackOutcome, patient=True)
    if done.undone.conflicts or done.failed:
        raise NotWell(f"{run_id} was not undone: {done.undone.conflicts} {done.failed}.")
    return done.held
