"""Bulk load: around an entity's first load into an empty table, what is dropped before and made again after it.

Planning drops, for the entities whose catalog says `first_load: bulk`; settling, which follows the batches, makes it
all again.  What a run has left open, because it broke off or could not end it, the next one ends before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

import psycopg

from hybrid_sync.blame import primary
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.errors import (
    Contention,
    ForeignKeyUnproven,
    IndexUnmade,
    Locked,
    MissingPrivilege,
    StructureMismatch,
    SyncError,
)
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, answer, transaction
from hybrid_sync.runs.store import EntityRecord
from hybrid_sync.schema import bulk
from hybrid_sync.schema.plans import forget
from hybrid_sync.world import World

_SHOWN = 5
_TWICE = "23505"
"""Of all that is made only a primary key meets with it: no two rows of ours have one id."""


def begin_bulk(
    world: World, request: RunRequest, records: Mapping[str, EntityRecord], carried: Set[str], target: Connection
) -> set[str]:  # fmt: skip
    """Begin a first load in bulk for each entity of the run that may have one, and return these; record of the others
    that wanted it why not.

    Entities that were `carried` before have no first load any more, so nothing is asked or said of them.
    """
    begun: set[str] = set()
    if request.profile is Profile.verify or request.refs or request.since or request.until:
        return begun
    # Who refers to others before them: while a foreign key is there, its parent keeps the index that it needs.
    ordered = (name for wave in reversed(world.catalog.waves(None)) for name in wave if name in records)
    wanted = [
        name
        for name in ordered
        if name not in carried
        and world.catalog[name].first_load == "bulk"
        and records[name].status != "failed"
        and records[name].requested is None
    ]
    in_use = _filled(world, wanted, target)
    for name in (name for name in wanted if name not in in_use):
        with transaction(target, "target"):
            refused = bulk.begin(target, world.catalog, request.run_id, name)
            failpoint("bulk.beginning", target)
            if refused:
                from hybrid_sync.write.batches import record_missing

                record_missing(target, request.run_id, name, f"The table of {name} was loaded as usual: {refused}.")
        if refused is None:
            forget(request.run_id, name)  # the foreign keys of its plan guard nothing any more
            begun.add(name)
        failpoint("bulk.begun", target)
    return begun


def _filled(world: World, wanted: Sequence[str], target: Connection) -> set[str]:
    """Of these, whose table has rows; none where that cannot be asked of all at once, and each is tried."""
    if not wanted:
        return set()
    try:
        return bulk.filled(target, world.catalog, wanted)
    except (Locked, StructureMismatch, MissingPrivilege):
        return set()


def end_bulk(world: World, run_id: str, entity: str, target: Connection) -> None:
    """Make everything again and prove it, each part in a transaction of its own; safe to repeat, and to break off.

    Rows of the load that break a foreign key become failed records.  Raises ForeignKeyUnproven where others do, and
    IndexUnmade where somebody has changed the tables meanwhile, so that the server refuses.
    """
    while _made(entity, target) is not None:
        failpoint("bulk.made", target)
    after, broken = 0, list[str]()
    while (part := _proved(world, run_id, entity, after, target)) is not None:
        after = part.n
        if not part.proven:
            broken.append(_who_breaks(world, entity, part, target))
    failpoint("bulk.ended", target)
    if broken:
        raise ForeignKeyUnproven(
            " ".join(broken),
            "Correct or delete these rows in the target; the next run proves it, and until then new rows are checked.",
        )


def end_left_open(world: World, run_id: str, target: Connection, *, goes_on: bool = False) -> list[tuple[str, str]]:
    """End what runs have left open that are not at work any more, and of this run's all that is left; (entity,
    sentence) of what a person must heal.

    With `goes_on`, a table that somebody keeps locked is one of these, too, instead of a Contention for all.
    """
    with transaction(target, "target", read_only=True):
        left = answer(target, bulk.ask_left_open())
    unhealed: list[tuple[str, str]] = []
    for one in left:
        if one.running and one.run_id != run_id:
            continue
        try:
            end_bulk(world, run_id, one.entity, target)
        except (ForeignKeyUnproven, IndexUnmade) as error:
            unhealed.append((one.entity, str(error)))
        except Contention as error:
            if not goes_on:
                raise
            unhealed.append((one.entity, f"The first load of {one.entity} is not ended yet: {error}"))
    return unhealed


def without_key(target: Connection) -> dict[str, SyncError]:
    """Entities whose table still lacks its primary key, each with what it is refused with: under an id that two rows
    have, an update or an undo would change both."""
    with transaction(target, "target", read_only=True):
        lacking = answer(target, bulk.ask_without_key())
    return {
        entity: StructureMismatch(
            f"The table of {entity} lacks its primary key {name}, which could not be made again after the first load.",
            "Where two rows have one id, delete the wrong one; the next run makes the key, and goes on.",
        )
        for entity, name in lacking
    }


def record_unhealed(run_id: str, unhealed: Iterable[tuple[str, str]], target: Connection) -> None:
    """Have the run's report say what a person must heal, by entity."""
    for entity, sentence in unhealed:
        from hybrid_sync.write.batches import record_missing

        with transaction(target, "target"):
            record_missing(target, run_id, entity, sentence)


def _made(entity: str, target: Connection) -> str | None:
    """What the server has made next."""
    try:
        with transaction(target, "target"):
            made = bulk.make_next(target, entity)
            failpoint("bulk.making", target)
    except (psycopg.Error, StructureMismatch, MissingPrivilege) as told:
        error = _of_a_definition(told)
        with transaction(target, "target", read_only=True):
            name = bulk.to_be_made(target, entity)
        if error.sqlstate == _TWICE:
            raise IndexUnmade(
                f"After the first load of {entity} the server does not make {name} again: two rows have one id.",
                "Somebody has written them meanwhile: delete the wrong one. The next run goes on from there.",
            ) from None
        raise IndexUnmade(
            f"After the first load of {entity} the server does not make {name} again ({primary(error)}).",
            "Create it under this name as it is to be now; its old definition is in hybrid_sync.bulk_part. The next"
            " run goes on from there.",
        ) from None
    return made


def _of_a_definition(told: psycopg.Error | SyncError) -> psycopg.Error:
    """The server's error, which may have been named already; raises what did not come from what a definition says."""
    error = told if isinstance(told, psycopg.Error) else told.__context__
    if not isinstance(error, psycopg.Error) or (error is not told and error.diag.context is None):
        raise told
    return error


def _proved(world: World, run_id: str, entity: str, after: int, target: Connection) -> bulk.Unproven | None:
    """The next foreign key after it was looked at; once more where rows of the load were in the way."""
    with transaction(target, "target"):
        part = bulk.prove_next(target, entity, after)
        failpoint("bulk.proving", target)
    if part is None or part.proven or entity not in world.catalog.entities:
        return part
    from hybrid_sync.write.unproven import take_back

    with transaction(target, "target"):
        taken = take_back(
            target, world.catalog, run_id, entity, part.name, bulk.unproven_rows(target, entity, part)
        )  # fmt: skip
        failpoint("bulk.taken_back", target)
    if not taken:
        return part
    with transaction(target, "target"):
        return bulk.prove_next(target, entity, after)


def _who_breaks(world: World, entity: str, part: bulk.Unproven, target: Connection) -> str:
    with transaction(target, "target", read_only=True):
        ids = bulk.unproven_rows(target, entity, part)
    shown = ", ".join(sorted(map(str, ids))[:_SHOWN])
    return (
        f"After the first load of {entity} its foreign key {part.name} is not valid again: {len(ids)} rows that others"
        f" have written, or refer to, break it ({shown}{', …' if len(ids) > _SHOWN else ''})."
    )
