"""Erase people at their word: what it would do, doing it, and the certificates of what was done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Key
from hybrid_sync.erase import records
from hybrid_sync.erase.certificate import Certificate
from hybrid_sync.errors import RequestRejected
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.erasing import Certificates, EraseAsked, ErasuresAsked, Preview

if TYPE_CHECKING:  # commands that erase nobody start without it
    from hybrid_sync.erase.closure import Rows
    from hybrid_sync.erase.erase import ErasureContext


def preview(desk: Desk, asked: EraseAsked, _: str) -> Preview:
    """Reads only; RequestRejected where the catalog has no policy for such rows."""
    from hybrid_sync.erase.erase import person

    with _context(desk) as context:
        rows = person(context, _named(desk.catalog, asked))
    by_policy: dict[str, dict[str, int]] = {"delete": {}, "pseudonymise": {}, "keep": {}}
    for (entity, _source), keys in sorted(rows.items()):
        erasure = desk.catalog[entity].erasure
        assert erasure is not None, "only such rows belong to a person"
        counts = by_policy[erasure.policy]
        counts[entity] = counts.get(entity, 0) + len(keys)
    return Preview(**by_policy)


def erase_people(desk: Desk, asked: EraseAsked, who: str) -> Certificate:
    """One transaction; RequestRejected where the target forbids it, and then nothing is erased."""
    from hybrid_sync.erase.erase import By, erase
    from hybrid_sync.erase.merge import of_legacy, require_known

    with _context(desk) as context:
        named = _named(desk.catalog, asked)
        require_known(context, named, of_legacy(desk.catalog, named, context))
        return erase(context, named, By(who, asked.why, desk.now()))


def erasures(desk: Desk, _asked: ErasuresAsked, _: str) -> Certificates:
    """Numbers and names of entities."""
    with at_target(desk) as target:
        return Certificates(certificates=tuple(records.certificates(target)))


@contextmanager
def _context(desk: Desk) -> Iterator[ErasureContext]:
    from hybrid_sync.erase.erase import ErasureContext
    from hybrid_sync.erase.hashes import Hashes
    from hybrid_sync.schema.ready import ask_installed
    from hybrid_sync.session import answer

    with desk.connect_legacy() as legacy, at_target(desk) as target:
        # In replica mode no foreign key would cascade, and an older schema keeps less than an erasure relies on.
        answer(target, ask_installed())
        yield ErasureContext(desk.catalog, Hashes(desk.id_secret), desk.erasures, legacy, target)


def _named(catalog: Catalog, asked: EraseAsked) -> Rows:
    found: Rows = {}
    for row in asked.rows:
        sources = catalog[row.entity].sources
        if not row.source and len(sources) > 1:
            raise RequestRejected(
                f"{row.entity} has several sources.", f"Say which: {row.entity}/{'|'.join(sources)}:KEY."
            )
        source = row.source or next(iter(sources))
        if source not in sources:
            raise RequestRejected(f"{row.entity} has no source {source}: choose from {', '.join(sources)}.")
        key: Key = row.key
        if len(key) != len(sources[source].key):
            raise RequestRejected(
                f"A key of {row.entity} has {len(sources[source].key)} parts.", "Write them with commas between them."
            )
        found.setdefault((row.entity, source), set()).add(key)
    return found
