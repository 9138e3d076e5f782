"""Plans of a step: an entity's read plan, without the rows of people who were erased.

A worker remembers the plan, and the number of the last erasure that it has heard of.  That may be old: so whoever
writes asks again under its locks (`ask_current`), and begins again with the present plan where it is outdated.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from hybrid_sync.erase import records
from hybrid_sync.errors import Contention, ErasuresBehind
from hybrid_sync.postgres import Connection, Cursor, Question, inside, transaction
from hybrid_sync.schema.plans import EntityPlan, address, plan_for
from hybrid_sync.world import World

_REMEMBERED = 64
_plans: OrderedDict[tuple[object, ...], tuple[EntityPlan, EntityPlan]] = OrderedDict()
"""The plan that one was made of, which may have been forgotten since, and the one without the rows of the erased."""


class Outdated(Contention):
    """People were erased since the plan was made: it could write rows of theirs."""

    def __init__(self) -> None:
        super().__init__("People were erased meanwhile.", "It is tried again, without them.")


def plan_of(
    world: World, run_id: str, entity: str, legacy: Connection, target: Connection, others: Iterable[str] = ()
) -> EntityPlan:
    """The entity's plan, as `plan_for` makes it; StructureMismatch when the two sides do not fit."""
    plan = plan_for(run_id, entity, world.catalog, legacy, target, others)
    number = records.last_known(world)
    if not number:
        return plan
    place = (run_id, entity, number, *address(legacy), *address(target))
    found = _plans.get(place)
    if found is None or found[0] is not plan:
        found = _plans[place] = plan, _without_erased(world, entity, plan, number, legacy, target)
        if len(_plans) > _REMEMBERED:
            _plans.popitem(last=False)
    return found[1]


def _without_erased(
    world: World, entity: str, plan: EntityPlan, number: int, legacy: Connection, target: Connection
) -> EntityPlan:  # fmt: skip
    # Where nobody was erased, nobody loads it.
    from hybrid_sync.erase.hashes import Hashes
    from hybrid_sync.erase.places import called_now, names_of
    from hybrid_sync.erase.plan import ancestors, without_erased
    from hybrid_sync.erase.suppression import keys_behind

    hashes = Hashes(world.id_secret)
    with inside(target, "target"):
        records.require_secret(target, hashes.fingerprint)
        called = called_now(target, world.catalog, legacy)
        listed = (
            records.list_of(target, names_of(called, ancestors(world.catalog, entity))),
            records.list_of(target, names_of(called, [entity]), alone=True),
        )
        keys, merged = (
            {p: sorted(some) for p, some in keys_behind(world.catalog, hashes, one, called, legacy, target).items()}
            for one in listed
        )
    return without_erased(world.catalog, entity, plan, keys, merged, number)


def ask_current(world: World, entity: str, plan: EntityPlan, at_least: int = 0) -> Question[None]:
    """Share the entity's row, so that none of it is erased until the transaction ends; raises Outdated where some was
    since the plan was made, or the target does not know of the erasure `at_least`."""
    asked = records.number(entity)

    def compare(found: Cursor) -> None:
        number = asked.meaning(found)
        if number != plan.erasures or number < at_least:
            records.remember_last(world, number)
            raise Outdated

    return Question(asked.query, asked.parameters, compare)


def recall_erased(world: World, legacy: Connection, target: Connection) -> None:
    """Before a run writes anything: erase in this target, too, whoever was erased before, in case the target was
    restored."""
    with transaction(target, "target"):
        kept, known = world.erasures.numbers(), records.recorded(target)
        if kept or known:
            from hybrid_sync.erase.erase import ErasureContext, catch_up
            from hybrid_sync.erase.hashes import Hashes
            from hybrid_sync.erase.places import called_now, remember

            hashes = Hashes(world.id_secret)
            if kept != known:
                catch_up(ErasureContext(world.catalog, hashes, world.erasures, legacy, target))
            called_now(target, world.catalog, legacy)  # or nothing is written; before what was read is forgotten
            remember(target, world.catalog)
            records.require_secret(target, hashes.fingerprint)
    records.remember_last(world, max([0, *kept, *known]))


def require_recalled(world: World, target: Connection) -> None:
    """Raises ErasuresBehind where the target does not know every erasure: a run has to come first."""
    with transaction(target, "target"):
        known = records.recorded(target)
    if world.erasures.numbers() != known:
        raise ErasuresBehind(
            "The target and the list outside it do not know of the same erasures: it was restored, or one broke off.",
            "Start a run, which makes it good before it writes: hybrid-sync sync --profile daily.",
        )
    records.remember_last(world, max(known, default=0))
