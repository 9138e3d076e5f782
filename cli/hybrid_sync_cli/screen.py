"""How words reach the terminal: wrapped between words, so that no id, key or command is ever broken."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console, ConsoleOptions
from rich.text import Text

from hybrid_sync.report.words import NOTHING

WIDTH_OF_A_FILE = 180
"""Columns of a table that goes to a file or a pipe, where nothing has to fit a screen."""
_GAP = 2


def width(*, err: bool = False) -> int | None:
    """The columns that there are, by COLUMNS or the terminal; None where a file or a pipe takes any line.

    What went wrong stays one line outside of a terminal, whatever COLUMNS says: logs and scripts look for it.
    """
    out = sys.stderr if err else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) and (out.isatty() or not err):
        return int(columns)
    return os.get_terminal_size(out.fileno()).columns or None if out.isatty() else None


def console() -> Console:
    """The terminal; colours only where somebody sees them."""
    return Console(highlight=False, width=width() or WIDTH_OF_A_FILE)


def say(sentence: str, indent: str = "", *, err: bool = False) -> None:
    """Print a sentence, wrapped between words where a screen has an edge; a file keeps it whole."""
    click.echo("\n".join(wrapped(sentence, width(err=err), indent)), err=err)


def wrapped(sentence: str, columns: int | None, indent: str = "") -> list[str]:
    """The lines of it; what goes on in the next line stands a little further right.  No word is cut."""
    if columns is None:
        return [indent + sentence]
    return textwrap.wrap(
        sentence, max(columns, len(indent) + 20), initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    ) or [indent]  # fmt: skip


def program() -> str:
    """How whoever reads this calls the command: as typed, with what chose the deployment, so that it can be copied."""
    found = shutil.which("hybrid-sync", path=_path_of_the_shell())
    own = (
        Path(sys.argv[0]) if Path(sys.argv[0]).name == "hybrid-sync" else Path(sys.executable).with_name("hybrid-sync")
    )
    if found and Path(found).resolve() == own.resolve():
        name = "hybrid-sync"
    else:
        here = own.absolute()
        name = str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)
    context = click.get_current_context(silent=True)
    given = context.find_root().params if context else {}
    chosen = [(option, given.get(option)) for option in ("stack", "region", "profile")]
    return " ".join([shlex.quote(name), *(f"--{option} {shlex.quote(value)}" for option, value in chosen if value)])


def _path_of_the_shell() -> str:
    """Without what `make` puts before it for its own commands."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(folders[1:] if "MAKELEVEL" in os.environ else folders)


class Sheet:
    """Rows under heads.  Where the screen is too narrow, the columns in `spare` go first, then prose wraps between
    words; where that does not fit either, each row becomes a paragraph of its own."""

    def __init__(
        self, head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = (), title: str = "",
        spare: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._head = tuple(head)
        self._rows = [tuple(map(_one_line, row)) for row in rows]
        self._right = set(right)
        self._title = title
        self._spare = spare

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in self.lines(options.max_width):
            yield Text(line.rstrip(), no_wrap=True, overflow="ignore")

    def lines(self, columns: int) -> list[str]:
        """As text; only a word that is longer than a line is ever longer than `columns`."""
        said = [self._title] if self._title else []
        left_out: set[str] = set()
        for name in (None, *self._spare):
            left_out |= {name} if name else set()
            shown = [n for n, head in enumerate(self._head) if head not in left_out]
            if widths := self._fit(shown, columns):
                return said + self._drawn(shown, widths)
        return said + self._paragraphs(columns)

    def _fit(self, shown: Sequence[int], columns: int) -> dict[int, int]:
        """How wide each column is, none narrower than its longest word; empty where they do not fit."""
        cells = {n: [self._head[n], *(row[n] for row in self._rows)] for n in shown}
        widths = {n: max(map(len, every)) for n, every in cells.items()}
        least = {n: max(len(word) for cell in every for word in cell.split() or [""]) for n, every in cells.items()}
        for n in shown:
            if self._head[n] in self._right:  # a number stays on its line, `87 / 90` too
                least[n] = max([least[n], *(len(row[n]) for row in self._rows)])
        room = columns - _GAP * (len(shown) - 1)
        while sum(widths.values()) > room:
            wide = [n for n in shown if widths[n] > least[n]]
            if not wide:
                return {}
            widths[max(wide, key=lambda n: widths[n])] -= 1
        return widths

    def _drawn(self, shown: Sequence[int], widths: dict[int, int]) -> list[str]:
        lines = self._cut([self._head[n] for n in shown], shown, widths)
        lines.append((" " * _GAP).join("─" * widths[n] for n in shown))
        for row in self._rows:
            lines += self._cut([row[n] for n in shown], shown, widths)
        return lines

    def _cut(self, cells: Sequence[str], shown: Sequence[int], widths: dict[int, int]) -> list[str]:
        """One row, in as many lines as its longest cell needs."""
        folded = [
            textwrap.wrap(cell, widths[n], break_long_words=False, break_on_hyphens=False) or [""]
            for n, cell in zip(shown, cells, strict=True)
        ]
        lines = []
        for number in range(max(map(len, folded))):
            parts = [fold[number] if number < len(fold) else "" for fold in folded]
            placed = [
                part.rjust(widths[n]) if self._head[n] in self._right else part.ljust(widths[n])
                for n, part in zip(shown, parts, strict=True)
            ]
            lines.append((" " * _GAP).join(placed))
        return lines

    def _paragraphs(self, columns: int) -> list[str]:
        lines: list[str] = []
        for row in self._rows:
            cells = [f"{h} {cell}".strip() for h, cell in zip(self._head[1:], row[1:], strict=True) if _is_filled(cell)]
            lines += [row[0], *(wrapped("; ".join(cells), columns, "  ") if cells else [])]
        return lines


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def _is_filled(cell: str) -> bool:
    return bool(cell) and cell != NOTHING


plain = Sheet
"""A table without frills."""
