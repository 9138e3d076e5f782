"""Which part of everything a run was about, so that nobody takes a part for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hybrid_sync.report.model import EntitySummary
from hybrid_sync.report.words import n_of

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog


def named(request: dict[str, Any]) -> str:
    """What a request names itself, in short: `3 rows`, `a range of time`, `2 components`; empty for everything."""
    if refs := request.get("refs"):
        return n_of(len(refs), "row")
    if request.get("since") or request.get("until"):
        return "a range of time"
    entities = request.get("entities")
    return n_of(len(entities), "component") if entities else ""


def scope_of(request: dict[str, Any], entities: Sequence[EntitySummary], catalog: Catalog) -> str:
    """`3 rows that were asked for`, `2 of 23 components`; empty for a run of everything."""
    parts: list[str] = []
    if refs := request.get("refs"):
        parts.append(f"{n_of(len(refs), 'row')} that {'was' if len(refs) == 1 else 'were'} asked for")
    elif request.get("since") or request.get("until"):
        parts.append("rows of a range of time")
    if not refs and len(entities) < len(catalog.entities):
        parts.append(f"{len(entities)} of {n_of(len(catalog.entities), 'component')}")
    return ", ".join(parts)
