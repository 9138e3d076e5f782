"""A report as one self-contained page: no request, no script, every text escaped by the template's engine."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from hybrid_sync.report.charts import meter, svg
from hybrid_sync.report.document import Cell, Chart, Document

LONG = 40
"""Rows of a table that scrolls in itself."""

SHORT = 24
"""Letters that stay on one line."""

_CODE = re.compile(r"`([^`]+)`")


def page(document: Document) -> str:
    """The whole page; its policy allows this style sheet and nothing else, whatever a text might hold."""
    style = resource("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = Markup(f"sha256-{digest}")  # nosec B704
    return _template().render(document=document, style=style, style_hash=policy)


def prepare() -> None:
    """Compile the templates; else the first page does, which then takes three times as long."""
    _template().environment.get_template("blocks.html")


@cache
def _template() -> Template:
    return environment(resource).get_template("page.html")


def environment(load: Callable[[str], str]) -> Environment:
    """Templates that `load` finds, with what draws a document's blocks (`blocks.html`); every text is escaped."""
    made = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(load), keep_trailing_newline=True
    )
    made.filters |= {
        "kind": _kind, "meter": _meter, "plain": _plain, "prose": _prose, "short": _short, "svg": _svg,
    }  # fmt: skip
    made.globals["LONG"] = LONG
    return made


@cache
def resource(name: str) -> str:
    """A file of this room."""
    return (resources.files("hybrid_sync.report") / name).read_text(encoding="utf-8")


def _kind(block: object) -> str:
    return type(block).__name__


def _prose(text: str) -> Markup:
    """Escaped first; then what stands between backticks is set as code."""
    escaped = escape(text)
    return Markup(_CODE.sub(r"<code>\1</code>", str(escaped))) if "`" in text else escaped  # nosec B704


def _plain(cell: object) -> Markup | None:
    """A cell of one line and nothing else, as nine of ten are: a macro takes five times as long for it."""
    if not isinstance(cell, Cell) or cell.tone or cell.refs or cell.share is not None or len(cell.lines) != 1:
        return None
    return _prose(cell.lines[0])


def _short(cell: Cell) -> bool:
    return all(len(line) <= SHORT for line in cell.lines)


# Drawn from numbers, and from labels that `charts` escapes itself.


def _meter(share: float) -> Markup:
    return Markup(meter(share))  # nosec B704


def _svg(chart: Chart) -> Markup:
    return Markup(svg(chart))  # nosec B704
