"""What a run says nothing about, in plain sentences: a report that is silent about it would promise too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.report.model import EntitySummary
from hybrid_sync.report.words import capital, listed, n_of

_BY_CHANGE = ("fence", "timestamp", "none")
_IN_PART = ("keys", "range")


def not_looked_at(entities: Sequence[EntitySummary], catalog: Catalog) -> tuple[str, ...]:
    """One sentence for each thing that this run has not read, compared or changed."""
    return tuple(_sentences(entities, catalog))


def _sentences(entities: Sequence[EntitySummary], catalog: Catalog) -> Iterator[str]:
    ran = {e.entity for e in entities}
    if left_out := [e.title for name, e in catalog.entities.items() if name not in ran]:
        yield f"Not part of this run: {listed(left_out)}."
    if unverified := [e.title for e in entities if e.conservation is None]:
        yield f"Neither rows nor money could be verified: {listed(unverified)}."
    if in_part := [e.title for e in entities if e.detection in _IN_PART]:
        yield f"Only the rows that the request names were read and verified, and no others: {listed(in_part)}."
    unread = [e for e in entities if e.detection in _BY_CHANGE and not (e.reconcile and e.reconcile.done)]
    yield from _contents(unread, len(unread) == len(entities))
    yield from _left_standing(entities)
    yield from dict.fromkeys(warning for e in entities for warning in (*e.warnings, *e.hidden_rows))
    if without_money := [e.title for e in entities if e.conservation and not e.money]:
        yield f"No money column is declared, so no amounts were summed: {listed(without_money)}."
    yield (
        "Columns that the catalog does not map are never read; "
        "the amounts of records that are not in the target are in neither sum."
    )


def _contents(entities: Sequence[EntitySummary], all_of_them: bool) -> Iterator[str]:
    if not entities:
        return
    scope = "all components" if all_of_them else listed([e.title for e in entities])
    yield (
        "Rows that had not changed since the run before were checked to be in the target, and their money summed, "
        f"but their other contents were not compared, for no reconcile ran: {scope}."
    )


def _left_standing(entities: Sequence[EntitySummary]) -> Iterator[str]:
    verified = [e.conservation for e in entities if e.conservation]
    if pending := sum(e.conservation.pending_deletes for e in entities if e.conservation):
        looked = any(e.deletes is not None for e in entities)
        rest = (
            "they still stand there, each for a reason that stands under deletes"
            if looked
            else "none of them was deleted"
        )
        gone = "is" if pending == 1 else "are"
        yield f"{capital(n_of(pending, 'row'))} of the target {gone} gone from legacy; {rest}."
    if in_flight := sum(c.in_flight for c in verified):
        yield (
            f"{capital(n_of(in_flight, 'row'))} changed in legacy while the run was at work; the next run reads them."
        )
    if native := sum(c.native for c in verified):
        yield (
            f"{capital(n_of(native, 'row'))} {'was' if native == 1 else 'were'} born in the target: "
            "counted, but never compared or changed."
        )
