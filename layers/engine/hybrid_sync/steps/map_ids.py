"""Map ids: UUIDs for the rows of one batch and for what they refer to.

A row's own UUID comes from the target, from an adopted native row, from before its deletion, or is minted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import cast

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.place import split
from hybrid_sync.contracts import BatchTask, Key
from hybrid_sync.ids.idmap import IdMap, Ids
from hybrid_sync.ids.mint import minter
from hybrid_sync.keys import decode_key
from hybrid_sync.many_keys import decode_keys
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.rows.columns import Rows
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Scanned
from hybrid_sync.rows.splice import Parents, SplicedBatch, splice
from hybrid_sync.schema.bulk import ask_proven_later
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.steps.adopt_rows import adopt_rows
from hybrid_sync.timing import timed
from hybrid_sync.world import World
from hybrid_sync.write.retired import retired_ids
from hybrid_sync.write.write import Writer


def cached(plan: ReadPlan) -> set[str]:
    """The entities whose ids a batch of the source looks up."""
    return {plan.entity, *(entity for slot in plan.references for entity, _ in slot.parents)}


def through_cache(world: World, epochs: Mapping[str, int]) -> IdMap:
    """Where batches look ids up: `epochs` are those of the entities in `cached`."""
    return IdMap(world.catalog, world.id_cache, epochs)


class BatchIds:
    """The ids of one batch, within its transaction; `found` may be cached once it has committed."""

    def __init__(
        self, world: World, task: BatchTask, plan: EntityPlan, legacy: Connection, target: Connection,
        ids: Ids, *, retired: bool = True,
    ) -> None:  # fmt: skip
        """`retired` says whether any of its keys has a retired id."""
        self._catalog = world.catalog
        self._mint = minter(world.id_secret, task.entity, task.source)
        self._task = task
        self._entity = plan
        self._plan = plan.sources[task.source]
        self._legacy = legacy
        self._target = target
        self._retired = retired
        self._ids = ids
        self.found: dict[Key, bytes] = {}
        self._there: set[Key] = set()
        """Of these, the keys whose id the target had before."""

    def remember(self) -> None:
        """Put new ids into the cache; only after the commit.

        Those that the target had are in the cache already, or will be asked for by the row that refers to them: finding
        out would mean reading each of their pages.
        """
        there = self._there
        new = {key: uuid for key, uuid in self.found.items() if key not in there} if there else self.found
        self._ids.remember(self._task.entity, self._task.source, new)

    @timed("map")
    def splice(self, writer: Writer, scanned: Scanned, *, fresh: bool = False) -> SplicedBatch:
        """Rows ready to be written; `fresh` asks the target for every reference."""
        task, plan, rows = self._task, self._plan, scanned.rows
        there = self._ids.own(self._target, task.entity, task.source, rows.decoded)
        own = (
            {row: there[key] for row, key in zip(rows.keys, rows.decoded, strict=True) if key in there} if there else {}
        )
        if not fresh:  # whoever asks anew heals what the cache has wrong
            self._there.update(there)
        absent = [key for key in rows.decoded if key not in there] if there else rows.decoded
        retired = retired_ids(self._target, task.entity, task.source, absent) if self._retired else {}
        adopted = adopt_rows(
            self._catalog[task.entity], self._entity, task.source, self._legacy, self._target,
            rows, own, retired,
        )  # fmt: skip
        if adopted.ids:
            own |= adopted.ids
            writer.adopt()
        certain = scanned
        if adopted.ambiguous:
            certain = Scanned(rows.where([key not in adopted.ambiguous for key in rows.keys]))
        parents = self._parents(certain, fresh=fresh)
        mint = partial(self._new_ids, rows, retired)
        spliced = splice(plan, certain, own, parents, mint, flag_new=writer.stages_everything)
        spliced.rejected += [FailedRow(decode_key(key), "ambiguous_adoption") for key in sorted(adopted.ambiguous)]
        self.found.update(zip(_keys_of(rows, list(own)), own.values(), strict=True))
        self.found.update(zip(_keys_of(rows, spliced.new.keys), spliced.new.ids, strict=True))
        return spliced

    def _new_ids(self, rows: Rows, retired: Mapping[Key, bytes], fields: list[bytes]) -> list[bytes]:
        """UUIDs for the rows that have none in the target: the one from before a deletion, or a new one."""
        keys = _keys_of(rows, fields)
        minted = self._mint(keys)
        return [retired.get(key, uuid) for key, uuid in zip(keys, minted, strict=True)] if retired else minted

    @cached_property
    def _proven_later(self) -> set[tuple[str, str, str]]:
        """Whether a foreign key that a first load has dropped still guards the references: it is made again and
        proven before the run ends, and a row that breaks it is taken back."""
        return answer(self._target, ask_proven_later(self._task.run_id, self._task.entity))

    def _parents(self, scanned: Scanned, *, fresh: bool) -> dict[tuple[str, str], Parents]:
        """UUIDs of the rows referred to; from the target and not the cache where no foreign key guards the column."""
        wanted: dict[tuple[str, str], set[bytes]] = {}
        unguarded: set[tuple[str, str]] = set()
        at = 0
        for slot in self._plan.references:
            declared = self._entity.table.columns[slot.column].references
            for parent in slot.parents:
                column = set(scanned.rows.references[at])
                column.discard(None)
                some = cast("set[bytes]", column)
                wanted[parent] = wanted[parent] | some if parent in wanted else some
                wanted_of = split(self._catalog[parent[0]].target)
                # Rows that a deferred reference leads to come later in the run than the proof.
                proven_later = not slot.deferred and (slot.column, *wanted_of) in self._proven_later
                if declared != wanted_of and not proven_later:
                    unguarded.add(parent)
                at += 1
        return {
            parent: self._ids.resolve(self._target, *parent, keys, fresh=fresh, guarded=parent not in unguarded)
            for parent, keys in wanted.items()
        }


def _keys_of(rows: Rows, fields: list[bytes]) -> list[Key]:
    """The keys of some of the rows, by their fields and in this order; all of them are known as integers already."""
    return rows.decoded if fields is rows.keys else decode_keys(fields, rows.widths)
