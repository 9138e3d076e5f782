"""`changed_at` says when a row was written: a moment, and nothing that is one only in a zone that nobody names.

Compared in another zone than legacy's, a local time looks older than it is, and its row unchanged.
"""

from __future__ import annotations

from hybrid_sync import pgtypes as pg
from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType


def require_moment(entity: Entity, source: str, kind: PgType | None) -> None:
    """StructureMismatch unless the source's `changed_at`, of this type in legacy, is a timestamptz."""
    written = entity.sources[source].changed_at
    if written is None or kind is None or kind.oid == pg.TIMESTAMPTZ:
        return
    place = f"Entity {entity.entity}, source {source}: `changed_at`, `{written}`, is {kind.name} in legacy"
    zone = "with the zone in which legacy writes it"
    if kind.oid == pg.TIMESTAMP:
        raise StructureMismatch(
            f"{place}, and nothing says in which time zone.",
            f"Write `({written}) at time zone 'Europe/Berlin'`, {zone}.",
        )
    if kind.oid == pg.DATE:
        raise StructureMismatch(
            f"{place}, a whole day.",
            f"Write the day's end, as in `(({written}) + 1)::timestamp at time zone 'Europe/Berlin'`, {zone}.",
        )
    raise StructureMismatch(f"{place}, not a moment.", "Name a column of type timestamp with time zone.")
