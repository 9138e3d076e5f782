"""A report as Markdown: headings, lists and tables; charts are left out, for their numbers stand beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hybrid_sync.report.document import (
    Block,
    Bullets,
    Cell,
    Charts,
    Definitions,
    Document,
    Facts,
    Fold,
    Part,
    Table,
    Text,
)

_MARKUP = re.compile(r"([\\|<>*\[\]])")


def markdown(document: Document) -> str:
    """The whole document; every text is escaped, so that a title cannot become markup."""
    parts = [f"# {_plain(document.title)}", f"**{_plain(document.verdict)}.** {_plain(document.subtitle)}."]
    parts += _blocks(document.opening, level=2)
    for section in document.sections:
        parts.append(f"## {_plain(section.title)}")
        parts += _blocks(section.blocks, level=3)
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Iterable[Block], level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text(words):
                yield _plain(words)
            case Bullets(items):
                yield "\n".join(f"* {_plain(item)}" for item in items)
            case Facts(facts):
                yield "\n".join(f"* {_plain(f.label)}: **{_plain(f.value)}** ({_plain(f.note)})" for f in facts)
            case Definitions(pairs):
                yield "\n".join(f"* **{_plain(term)}**: {_plain(text)}" for term, text in pairs)
            case Table():
                yield _table(block)
            case Fold(title, inner):
                yield f"{'#' * level} {_plain(title)}"
                yield from _blocks(inner, level + 1)
            case Part(title, note, inner):
                yield f"{'#' * level} {_plain(title)}"
                yield f"{_plain(note)}."
                yield from _blocks(inner, level + 1)
            case Charts():
                pass


def _table(table: Table) -> str:
    head = [_plain(column.head) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    if table.total:
        rows.append([f"**{text}**" if text else "" for text in map(_cell, table.total)])
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _cell(cell: Cell) -> str:
    keys = [f"`{ref.key.replace('`', '')}`" for ref in cell.refs]
    return "<br>".join([*map(_plain, cell.lines), *([", ".join(keys)] if keys else [])])


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text).replace("\n", " ")
