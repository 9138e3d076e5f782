"""The reconcile: whether all contents agree; and the deletes: what became of rows that legacy no longer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hybrid_sync.recorded.checks import Deletes, Reconcile, ShownDifference
from hybrid_sync.report.document import Block, Cell, Column, Ref, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.words import capital, count, n_of, reason_title

_FOUND: tuple[tuple[str, Callable[[Reconcile], int]], ...] = (
    ("Rows compared", lambda r: r.rows_checked),
    ("Differed", lambda r: r.differing),
    ("Healed", lambda r: r.healed),
    ("Still differ", lambda r: r.persisted),
    ("Changed in target", lambda r: r.drift),
    ("Fence missed", lambda r: r.fence_missed),
    ("Wrong ids", lambda r: r.wrong_ids),
)
_BECAME: tuple[tuple[str, Callable[[Deletes], int]], ...] = (
    ("Found", lambda d: d.candidates),
    ("Deleted", lambda d: d.deleted),
    ("Marked", lambda d: d.soft),
    ("Back in legacy", lambda d: d.back),
    ("Brought back", lambda d: d.undeleted),
    ("Kept", lambda d: d.kept),
    ("Stopped by guard", lambda d: d.guarded),
)
_WHY_KEPT = {
    "ignored": "by policy",
    "native_children": "rows born in the target refer to them",
    "still_referred": "other rows refer to them",
    "trigger_suppressed": "a trigger of the target refused",
}
_KINDS = {
    "changed": "other contents",
    "missing": "not in the target",
    "unrecorded": "must fail, had no failed record",
    "unjoined": "lost by a join",
}
_ORIGINS = {"legacy": "legacy", "target": "target", "both": "legacy and target"}
_STATES = {
    "healed": Cell(("healed",), Tone.good),
    "persists": Cell(("still differs",), Tone.bad),
    "in_flight": Cell(("changed meanwhile",), Tone.quiet),
    "confirmed": Cell(("left as it is",), Tone.warning),
}


def contents(summary: RunSummary) -> Section | None:
    """What the comparison of all contents found; None where none ran."""
    found = [(e, e.reconcile) for e in summary.entities if e.reconcile is not None]
    if not found:
        return None
    blocks: list[Block] = [Text(" ".join(_sentences([r for _, r in found])))]
    listed = [(e, r) for e, r in found if r.differing or r.wrong_ids or not r.done]
    if listed:
        columns = (Column("Component"), *(Column(head, numeric=True) for head, _ in _FOUND))
        rows = tuple((cell(capital(e.title)), *(cell(count(value(r))) for _, value in _FOUND)) for e, r in listed)
        blocks.append(Table("Components whose contents differed", columns, rows))
    if shown := [(e, d) for e, r in found for d in r.shown]:
        blocks.append(_differences(shown))
    return Section("contents", "Contents compared", tuple(blocks))


def deletes(summary: RunSummary) -> Section | None:
    """What became of rows that have gone from legacy; None where no such row was found."""
    found = [(e, e.deletes) for e in summary.entities if e.deletes and (e.deletes.candidates or e.deletes.undeleted)]
    if not found:
        return None
    lead = (
        "Rows that legacy no longer has, or that a rule excludes by now, follow the policy of their component: "
        "deleted, marked as deleted, or kept. A guard stops all deletes of a component when they are unusually many."
    )
    columns = (Column("Component"), *(Column(head, numeric=True) for head, _ in _BECAME), Column("Why kept"))
    rows = tuple(
        (cell(capital(e.title)), *(cell(count(value(d))) for _, value in _BECAME), _why_kept(d)) for e, d in found
    )
    sums = (cell(count(sum(value(d) for _, d in found))) for _, value in _BECAME)
    total = (cell("All components"), *sums, Cell())
    table = Table("What became of rows that have gone from legacy", columns, rows, total)
    return Section("deletes", "Deleted in legacy", (Text(lead), table))


def _why_kept(deletes: Deletes) -> Cell:
    reasons = [_WHY_KEPT.get(why, reason_title(why).lower()) for why in sorted(deletes.refused)]
    if deletes.guarded:
        reasons.append("guarded: allow it with `hybrid-sync sync --allow-deletes`")
    return Cell(tuple(reasons))


def _sentences(found: list[Reconcile]) -> Iterator[str]:
    checked = sum(r.rows_checked for r in found)
    yield (
        f"{capital(n_of(checked, 'row'))} of {n_of(len(found), 'component')} were compared in all mapped columns, on "
        "both servers."
    )
    if unfinished := sum(not r.done for r in found):
        yield f"The comparison of {n_of(unfinished, 'component')} did not end."
    differing = sum(r.differing for r in found)
    if not differing:
        yield "None differed."
        return
    healed, persisted, left = (sum(getattr(r, name) for r in found) for name in ("healed", "persisted", "left_alone"))
    yield f"{capital(n_of(differing, 'row'))} differed: {count(healed)} were healed, {count(persisted)} still differ."
    if left:
        yield (
            f"{capital(n_of(left, 'row'))} had been changed in the target and stay as they are; "
            "`hybrid-sync verify --repair` gives them back what legacy says."
        )
    if money := sum(r.money_left for r in found):
        yield (
            f"Money differs in {n_of(money, 'row')} of these: to the cent the two sides do not agree, whatever the sums"
            " say."
        )


def _differences(shown: list[tuple[EntitySummary, ShownDifference]]) -> Table:
    columns = (
        Column("Record"),
        Column("What differed"),
        Column("Columns"),
        Column("Changed in"),
        Column("Outcome"),
    )
    rows = tuple(
        (
            Cell(refs=(Ref(f"{e.entity}/{d.source}:{','.join(map(str, d.key))}"),)),
            cell(_KINDS.get(d.kind, d.kind)),
            cell(", ".join(d.columns)),
            cell(_ORIGINS.get(d.origin or "", "")),
            _STATES.get(d.state, cell(d.state)),
        )
        for e, d in shown
    )
    every = sum(e.reconcile.differing for e in {e.entity: e for e, _ in shown}.values() if e.reconcile)
    return Table(f"Rows that differed, by legacy key: {count(len(shown))} of {count(every)}", columns, rows)
