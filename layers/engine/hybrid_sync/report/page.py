"""A report as one self-contained page: no request, no script, every text escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib import resources
from string import Template

from hybrid_sync.report.charts import meter, svg
from hybrid_sync.report.document import (
    Block,
    Bullets,
    Cell,
    Charts,
    Column,
    Definitions,
    Document,
    Fact,
    Facts,
    Fold,
    Part,
    Section,
    Table,
    Text,
    Tone,
)

LONG = 40
"""Rows of a table that scrolls in itself."""

SHORT = 24
"""Letters that stay on one line."""

_CODE = re.compile(r"`([^`]+)`")


def page(document: Document) -> str:
    """The whole page; its policy allows this style sheet and nothing else, whatever a text might hold."""
    style = _resource("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return Template(_resource("page.html")).substitute(
        style=style,
        style_hash=f"sha256-{digest}",
        title=escape(document.title),
        verdict=_tone(document.verdict, document.tone),
        subtitle=escape(document.subtitle),
        contents="\n".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in document.sections),
        opening=_blocks(document.opening),
        sections="\n".join(map(_section, document.sections)),
    )


@cache
def _resource(name: str) -> str:
    return (resources.files("hybrid_sync.report") / name).read_text(encoding="utf-8")


def _section(section: Section) -> str:
    head = f'<h2 id="{section.anchor}">{escape(section.title)}</h2>'
    return f'<section aria-labelledby="{section.anchor}">{head}\n{_blocks(section.blocks)}\n</section>'


def _blocks(blocks: Iterable[Block]) -> str:
    return "\n".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Text(words):
            return f"<p>{_prose(words)}</p>"
        case Bullets(items):
            return f'<ul class="points">{"".join(f"<li>{_prose(item)}</li>" for item in items)}</ul>'
        case Facts(facts):
            return f'<dl class="facts">{"".join(map(_fact, facts))}</dl>'
        case Definitions(pairs):
            terms = "".join(f"<dt>{escape(term)}</dt><dd>{_prose(text)}</dd>" for term, text in pairs)
            return f'<dl class="terms">{terms}</dl>'
        case Table():
            return _table(block)
        case Charts(charts):
            figures = (f"<figure><figcaption>{escape(c.title)}</figcaption>{svg(c)}</figure>" for c in charts)
            return f'<div class="charts">{"".join(figures)}</div>'
        case Fold(title, inner):
            return f"<details><summary>{escape(title)}</summary>{_blocks(inner)}</details>"
        case Part(title, note, inner):
            head = f'<h3>{escape(title)}</h3><p class="note">{_prose(note)}</p>'
            return f'<div class="part">{head}{_blocks(inner)}</div>'


def _fact(fact: Fact) -> str:
    icon = _icon(fact.tone, f' class="{fact.tone}"') if fact.tone else ""
    return (
        f'<div class="fact"><dt>{escape(fact.label)}{icon}</dt>'
        f'<dd class="number">{escape(fact.value)}</dd><dd class="note">{escape(fact.note)}</dd></div>'
    )


def _table(table: Table) -> str:
    # Cards on a narrow screen are no table to a browser any more; the roles say that they still are one.
    kinds = ["scroll", *(["stacked"] if table.stacked else []), *(["long"] if len(table.rows) > LONG else [])]
    heads = "".join(
        f'<th scope="col" role="columnheader"{_numeric(column)}>{escape(column.head)}</th>' for column in table.columns
    )
    rows = "\n".join(_row(row, table.columns) for row in table.rows)
    foot = f'<tfoot role="rowgroup">{_row(table.total, table.columns)}</tfoot>' if table.total else ""
    caption = escape(table.caption)
    return (
        f'<div class="{" ".join(kinds)}" role="region" aria-label="{caption}" tabindex="0"><table role="table">'
        f'<caption>{caption}</caption><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody>{foot}</table></div>'
    )


def _row(row: tuple[Cell, ...], columns: tuple[Column, ...]) -> str:
    first, *others = zip(row, columns, strict=True)
    anchor = f' id="{escape(row[0].anchor)}"' if row[0].anchor else ""
    cells = "".join(
        f'<td role="cell" data-label="{escape(column.head)}"{_kind(cell, column)}>{_content(cell)}</td>'
        for cell, column in others
    )
    return f'<tr role="row"{anchor}><th scope="row" role="rowheader">{_content(first[0])}</th>{cells}</tr>'


def _content(cell: Cell) -> str:
    lines = [_prose(line) for line in cell.lines]
    if cell.tone and len(lines) == 1:
        return _tone(cell.lines[0], cell.tone)
    if len(lines) > 1:
        lines = [f'<span class="lines">{"<br>".join(lines)}</span>']
    refs = [
        f'<a href="#{escape(ref.anchor)}"><code>{escape(ref.key)}</code></a>'
        if ref.anchor
        else f"<code>{escape(ref.key)}</code>"
        for ref in cell.refs
    ]
    return "".join([*lines, "<br>".join(refs), "" if cell.share is None else meter(cell.share)])


def _numeric(column: Column) -> str:
    return ' class="numeric"' if column.numeric else ""


def _kind(cell: Cell, column: Column) -> str:
    short = all(len(line) <= SHORT for line in cell.lines)
    return _numeric(column) or (' class="short"' if short else "")


def _tone(words: str, tone: Tone) -> str:
    return f'<span class="tone {tone}">{_icon(tone)}{escape(words)}</span>'


def _icon(tone: Tone, attributes: str = "") -> str:
    return f'<svg{attributes} viewBox="0 0 16 16" aria-hidden="true" focusable="false"><use href="#icon-{tone}"/></svg>'


def _prose(text: str) -> str:
    """Escaped first; then what stands between backticks is set as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
