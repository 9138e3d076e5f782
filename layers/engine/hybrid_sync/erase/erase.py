"""Erase people: their rows go, or lose what is personal, in one transaction; and what was erased stays erased.

The entities' rows in `hybrid_sync.entity_state` are taken exclusively first, so nothing of them is being written, and
whoever writes next finds a newer erasure than its plan knows.  The list is kept outside the target before the
erasure commits: a crash in between is made good by the next run, as a target that was restored to before it is.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.erase import records
from hybrid_sync.erase.certificate import Certificate, Kind
from hybrid_sync.erase.closure import Rows, closure
from hybrid_sync.erase.hashes import Hashes, Place
from hybrid_sync.erase.places import called_now, described, remember
from hybrid_sync.erase.plan import concerned
from hybrid_sync.erase.records import Erasure, Erasures, Suppressed
from hybrid_sync.erase.rows import Eraser
from hybrid_sync.erase.suppression import keys_behind
from hybrid_sync.errors import Contention, RequestRejected
from hybrid_sync.failpoints import failpoint
from hybrid_sync.keys import bucket_number, bucket_numbers
from hybrid_sync.postgres import Connection
from hybrid_sync.write.around import Around
from hybrid_sync.write.batches import lock_buckets


@dataclass(frozen=True)
class ErasureContext:
    """What an erasure works with; the target's transaction is the caller's."""

    catalog: Catalog
    hashes: Hashes
    outside: Erasures
    legacy: Connection
    target: Connection


@dataclass(frozen=True)
class By:
    """By whom, why and when; `request` is the run that an event or a program has asked for, and `what` of it the audit
    trail has."""

    by: str
    why: str
    at: datetime
    request: str = ""
    what: Mapping[str, Any] = field(default_factory=dict)


def person(context: ErasureContext, named: Mapping[Place, Iterable[Key]]) -> Rows:
    """All rows of the persons to whom the named rows belong; RequestRejected where the catalog does not say how."""
    for entity, _ in named:
        if context.catalog[entity].erasure is None:
            raise RequestRejected(
                f"The catalog does not say what becomes of an erased row of {entity}.",
                f"Write `erasure:` with a `policy` into {context.catalog.file_of(entity)}, and deploy it.",
            )
    return closure(context.catalog, named, context.legacy, context.target)


def erase(context: ErasureContext, named: Mapping[Place, Iterable[Key]], asked: By) -> Certificate:
    """Erase the persons to whom the named rows belong, and never write these rows again; safe to repeat."""
    lock(context)
    return record(context, person(context, named), {}, asked, sum(len(list(keys)) for keys in named.values()))


def record(context: ErasureContext, rows: Rows, merged: Rows, asked: By, named: int) -> Certificate:
    """Under the locks: erase these rows and those that were merged into others, and record both, here and outside.

    A request that was carried out is not again, nor one of whose rows every one is suppressed already.
    """
    known = records.recorded(context.target)
    if context.outside.numbers() != known:
        raise RequestRejected(
            "The target and the list outside it do not know of the same erasures: it was restored, or one broke off.",
            "Start a run, which makes it good: hybrid-sync sync --profile daily. Then erase again.",
        )
    keys = (*_all_suppressed(context, rows), *_all_suppressed(context, merged, alone=True))
    kind: Kind = "merged" if merged else "erased"
    if asked.request and (done := _done(context, asked, kind, keys)):
        return done
    erasure = Erasure(
        number=max(known, default=0) + 1, fingerprint=context.hashes.fingerprint, by=asked.by, why=asked.why,
        at=asked.at.isoformat(), keys=keys, request=asked.request, kind=kind, named=named,
        places=described(context.catalog, (one.place for one in keys)),
    )  # fmt: skip
    certificate = _carry_out(context, erasure, rows, merged)
    if asked.request:
        records.note(context.target, kind, asked.by, {**asked.what, "erasure": erasure.number})
    failpoint("erase.certified", context.target, context.legacy)
    # Once the target has taken all of it, and before it commits: from here on the next run would finish it.
    if not context.outside.write(erasure):
        raise Contention("Another erasure is being recorded.", "It is tried again.")
    failpoint("erase.kept_outside", context.target, context.legacy)
    return certificate


def _done(context: ErasureContext, asked: By, kind: Kind, keys: tuple[Suppressed, ...]) -> Certificate | None:
    if (done := records.of_request(context.target, asked.request)) is not None:
        return done
    before = records.containing(context.target, keys)
    if before is not None:
        records.note(context.target, kind, asked.by, {**asked.what, "erasure": before.number})
    return before


def catch_up(context: ErasureContext) -> None:
    """Erase again what the list outside has and the target does not know of: it was restored, or an erasure broke off.

    What the target alone knows goes back outside.
    """
    lock(context)
    kept, known = context.outside.numbers(), records.recorded(context.target)
    for number in sorted(set(known) - set(kept)):
        context.outside.write(records.recall(context.target, number))
    for number in sorted(set(kept) - set(known)):
        erasure = context.outside.read(number)
        if erasure.fingerprint != context.hashes.fingerprint:
            raise records.other_secret(number)
        found, merged = (
            _behind(context, erasure, [one for one in erasure.keys if one.alone is alone]) for alone in (False, True)
        )
        # A target of before the erasure may have rows of the person that were gone when it came.
        rows = closure(context.catalog, found, context.legacy, context.target)
        every = dict.fromkeys([*erasure.keys, *_all_suppressed(context, rows)])
        _carry_out(context, erasure.model_copy(update={"keys": tuple(every)}), rows, merged)
        records.note(context.target, erasure.kind, erasure.by, {"run_id": erasure.request, "erasure": number})
    failpoint("erase.caught_up", context.target, context.legacy)


def _behind(context: ErasureContext, erasure: Erasure, keys: list[Suppressed]) -> Rows:
    listed = [(one.place, one.bucket, bytes.fromhex(one.hash)) for one in keys]
    called = called_now(context.target, context.catalog, context.legacy, erasure.places)
    return keys_behind(context.catalog, context.hashes, listed, called, context.legacy, context.target)


def lock(context: ErasureContext) -> None:
    """Keep every writer of the catalog's entities about people out until this transaction ends: each holds its row
    of entity_state."""
    context.target.execute("select pg_advisory_xact_lock(hashtextextended('hybrid_sync.erasure', 0))")
    names = concerned(context.catalog)
    context.target.execute(
        "insert into hybrid_sync.entity_state (entity) select unnest(%s::text[]) order by 1 on conflict do nothing",
        (names,),
    )
    # What is cached of rows that go is not asked again.
    context.target.execute(
        "update hybrid_sync.entity_state s set cache_epoch = cache_epoch + 1 from ("
        " select entity from hybrid_sync.entity_state where entity = any(%s) order by entity for update) l"
        " where l.entity = s.entity",
        (names,),
    )
    failpoint("erase.locked", context.target, context.legacy)


def _carry_out(context: ErasureContext, erasure: Erasure, rows: Rows, merged: Rows) -> Certificate:
    for place in sorted(rows.keys() | merged.keys()):
        keys = rows.get(place, set()) | merged.get(place, set())
        lock_buckets(context.target, *place, bucket_numbers(keys))  # what was seen of them is not as it was
    records.enter(context.target, erasure)
    remember(context.target, context.catalog, erasure.places)
    failpoint("erase.entered", context.target, context.legacy)
    # No run has written what triggers change meanwhile, so the next one of each entity looks for it.
    around = Around(context.target, context.catalog, None)
    deleted, changed, scrubbed = Eraser(context.catalog, rows, context.target).erase()
    if merged:
        _, of_merged, forgotten = Eraser(context.catalog, merged, context.target, alone=True).erase()
        changed, scrubbed = dict(Counter(changed) + Counter(of_merged)), dict(Counter(scrubbed) + Counter(forgotten))
    around.record(f"erasure-{erasure.number}", uuid.uuid4())
    counts: dict[str, int] = {}
    for one in erasure.keys:
        counts[one.entity] = counts.get(one.entity, 0) + 1
    certificate = Certificate(
        **erasure.about, number=erasure.number, deleted=deleted, pseudonymised=changed, suppressed=counts,
        scrubbed=scrubbed,
    )  # fmt: skip
    records.certify(context.target, certificate)
    return certificate


def _all_suppressed(context: ErasureContext, rows: Rows, *, alone: bool = False) -> tuple[Suppressed, ...]:
    """What is never written again as it was: all but the rows that the catalog keeps as they are."""
    found: list[Suppressed] = []
    for place, keys in sorted(rows.items()):
        erasure = context.catalog[place[0]].erasure
        if not alone and (erasure is None or erasure.policy == "keep"):
            continue
        found += [
            Suppressed(entity=place[0], source=place[1], bucket=bucket_number(key), hash=digest.hex(), alone=alone)
            for digest, key in context.hashes.of(place, sorted(keys)).items()
        ]
    return tuple(found)
