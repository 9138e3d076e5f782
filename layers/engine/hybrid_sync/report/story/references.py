"""References: for each column that points to another row, how many rows have it, and whether it leads anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hybrid_sync.recorded.checks import ReferenceLine
from hybrid_sync.report.document import Block, Cell, Column, Ref, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.words import capital, count, n_of

_COUNTED: tuple[tuple[str, Callable[[ReferenceLine], int]], ...] = (
    ("Rows with it", lambda line: line.carried),
    ("None in legacy", lambda line: line.without),
    ("Waiting", lambda line: line.waiting),
    ("Left empty", lambda line: line.left_empty),
    ("Dangling", lambda line: line.dangling),
    ("Lost", lambda line: line.lost),
)
_FAILS = ("Dangling", "Lost")


def references(summary: RunSummary) -> Section | None:
    """One row per component and column; then, where something is wrong, the first records by legacy key."""
    entities = sorted((e for e in summary.entities if e.references), key=lambda e: e.title.lower())
    if not entities:
        return None
    titles = {e.entity: e.title for e in summary.entities}
    lines = [(e, line) for e in entities for line in e.references]
    columns = (Column("Component"), Column("Column"), Column("Points to"), *_numbers(), Column("Sound"))
    rows = tuple(_row(e, line, titles) for e, line in lines)
    blocks: list[Block] = [
        Text(" ".join(_sentences([line for _, line in lines]))),
        Table("References per component and column", columns, rows),
    ]
    if wrong := tuple(_wrong(lines)):
        columns = (Column("Component"), Column("Column"), Column("What is wrong"), Column("First records"))
        blocks.append(Table("References that lead nowhere or were lost", columns, wrong))
    return Section("references", "References", tuple(blocks))


def _numbers() -> Iterator[Column]:
    return (Column(head, numeric=True) for head, _ in _COUNTED)


def _sentences(lines: list[ReferenceLine]) -> Iterator[str]:
    yield (
        "A row waits where its parent has not arrived; it is linked when it does. Left empty are those that the "
        "catalog lets be without one. A reference dangles if no row stands "
        "behind it, and is lost if legacy has it, the target does not, and nothing waits; one such row fails its "
        "component."
    )
    dangling, lost = sum(line.dangling for line in lines), sum(line.lost for line in lines)
    if not dangling and not lost:
        yield "None dangles and none was lost."
        return
    yield f"{capital(n_of(dangling, 'reference'))} {'dangles' if dangling == 1 else 'dangle'}, {count(lost)} lost."


def _row(e: EntitySummary, line: ReferenceLine, titles: dict[str, str]) -> tuple[Cell, ...]:
    numbers = ((head, value(line)) for head, value in _COUNTED)
    return (
        cell(capital(e.title)),
        cell(line.column),
        Cell(tuple(titles.get(parent, parent.replace("_", " ")) for parent in line.parents)),
        *(Cell((count(n),), Tone.bad if n and head in _FAILS else None) for head, n in numbers),
        Cell(("yes",), Tone.good) if line.ok else Cell(("NO",), Tone.bad),
    )


def _wrong(lines: list[tuple[EntitySummary, ReferenceLine]]) -> Iterator[tuple[Cell, ...]]:
    for e, line in lines:
        for word, number, keys in (
            ("no row stands behind it", line.dangling, line.dangling_keys),
            ("empty in the target, filled in legacy", line.lost, line.lost_keys),
        ):
            if number:
                refs = tuple(Ref(f"{e.entity}/{key}") for key in keys)
                yield cell(capital(e.title)), cell(line.column), cell(f"{count(number)}: {word}"), Cell(refs=refs)
