"""Rows that legacy has merged into others: which are gone with them, and which it has moved to their survivor.

Legacy is asked and not the event: a row is merged away once legacy has it no more, and its children are whose legacy
says they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.contracts import Key
from hybrid_sync.erase.closure import Rows, asked, stored
from hybrid_sync.erase.erase import ErasureContext
from hybrid_sync.erase.hashes import Place
from hybrid_sync.erase.plan import leads
from hybrid_sync.erase.records import Suppressed, containing
from hybrid_sync.erase.rows import stored_keys
from hybrid_sync.errors import Contention, RequestRejected
from hybrid_sync.keys import among, bucket_number, key_columns, key_parts, key_text, record_among, recorded

_KNOWN_BY = ("retired_id", "failed_record", "tombstone")
"""Our own tables that remember a row which neither side has."""


def require_known(context: ErasureContext, rows: Rows, in_legacy: Rows) -> None:
    """RequestRejected where neither side ever had such a row: its key may become another person's."""
    for place, keys in sorted(rows.items()):
        left = keys - in_legacy.get(place, set())
        if left:
            columns = key_parts(key_columns(context.catalog[place[0]].sources[place[1]].key))
            left -= stored_keys(context.catalog, place, among(columns, sorted(left)), context.target)
        for table in _KNOWN_BY if left else ():
            left -= set(recorded(context.target, table, *place, record_among(sorted(left))))
        left = {key for key in left if not _suppressed(context, place, key)}
        if left:
            raise RequestRejected(
                f"Neither legacy nor the target has ever had {place[0]}:{key_text(min(left))}; nobody was erased.",
                "Correct the key: a row that is not there yet may be another person's one day.",
            )


def of_legacy(catalog: Catalog, rows: Mapping[Place, set[Key]], context: ErasureContext) -> Rows:
    """Those of the rows that legacy has."""
    found: Rows = {}
    for place, keys in rows.items():
        source = catalog[place[0]].sources[place[1]]
        parts = key_parts([spliced(e) for e in source.key.values()])
        query = sql.SQL("select array[{}] from {} where {}").format(
            sql.SQL(", ").join(parts), relations(source), among(parts, sorted(keys))
        )
        found[place] = asked(catalog, place[0], context.legacy, query) if keys else set()
    return found


def merged_away(context: ErasureContext, rows: Rows) -> tuple[Rows, Rows]:
    """The rows that are gone with the named ones, being the same person's; and those that referred to any of them in
    the target, which are to be read again.  Contention while legacy still has one of the named."""
    for place, keys in sorted(of_legacy(context.catalog, rows, context).items()):
        if keys:
            raise Contention(
                f"Legacy still has {place[0]}:{key_text(min(keys))}, and so has not merged it into another row.",
                "It is tried again; send the event once the merge is committed, or erase the person.",
            )
    gone: Rows = {}
    fresh = rows
    while fresh:
        for place, keys in fresh.items():
            gone.setdefault(place, set()).update(keys)
        near = {place: keys - gone.get(place, set()) for place, keys in _same(context, fresh).items()}
        left = of_legacy(context.catalog, near, context)
        fresh = {place: new for place, keys in near.items() if (new := keys - left[place])}
    return gone, _referring(context, gone)


def _same(context: ErasureContext, rows: Rows) -> Rows:
    """What the target calls the same person's."""
    found: Rows = {}
    for lead in leads(context.catalog):
        if not lead.same:
            continue
        for given, wanted, of, to in ((lead.parent, lead.child, "p", "c"), (lead.child, lead.parent, "c", "p")):
            if keys := rows.get(given):
                found.setdefault(wanted, set()).update(stored(context.catalog, lead, context.target, to, of, keys))
    return found


def _referring(context: ErasureContext, gone: Rows) -> Rows:
    found: Rows = {}
    for lead in leads(context.catalog, every=True):
        if keys := gone.get(lead.parent):
            children = stored(context.catalog, lead, context.target, "c", "p", keys)
            found.setdefault(lead.child, set()).update(children - gone.get(lead.child, set()))
    return {place: keys for place, keys in found.items() if keys}


def _suppressed(context: ErasureContext, place: Place, key: Key) -> bool:
    [digest] = context.hashes.of(place, [key])
    one = Suppressed(entity=place[0], source=place[1], bucket=bucket_number(key), hash=digest.hex())
    return containing(context.target, [one]) is not None
