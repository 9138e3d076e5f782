"""A report as a tree of blocks, composed once and drawn as HTML and as Markdown, so that both say the same."""

from __future__ import annotations

from enum import StrEnum

from hybrid_sync.dataclass import dataclass


class Tone(StrEnum):
    """How a word is meant; every renderer shows it by more than a colour."""

    good = "good"
    warning = "warning"
    bad = "bad"
    quiet = "quiet"


@dataclass(frozen=True)
class Ref:
    """A failed record's key; `anchor` when the page lists that record and this links to it."""

    key: str
    anchor: str = ""


@dataclass(frozen=True)
class Cell:
    """`lines` stand below each other; one line may have a tone; `share` (0 to 1) is drawn as a small bar; `anchor`
    names the row."""

    lines: tuple[str, ...] = ()
    tone: Tone | None = None
    refs: tuple[Ref, ...] = ()
    share: float | None = None
    anchor: str = ""


def cell(text: str) -> Cell:
    """One line of text."""
    return Cell((text,))


@dataclass(frozen=True)
class Column:
    head: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """`stacked`: on a narrow screen each row becomes a card; other tables scroll.  The first column heads its row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Text:
    words: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One number that matters, with what it means."""

    label: str
    value: str
    note: str
    tone: Tone | None = None


@dataclass(frozen=True)
class Facts:
    items: tuple[Fact, ...]


@dataclass(frozen=True)
class Definitions:
    """Terms with their explanation."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Point:
    """One bar of a chart; `value` None draws a gap."""

    label: str
    value: float | None
    shown: str


@dataclass(frozen=True)
class Chart:
    """Columns over time (the last one stands out), or horizontal bars; its numbers also stand in a table or text."""

    title: str
    points: tuple[Point, ...]
    horizontal: bool = False


@dataclass(frozen=True)
class Charts:
    """Drawn side by side where there is room."""

    items: tuple[Chart, ...]


@dataclass(frozen=True)
class Fold:
    """Detail that opens on demand."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Part:
    """A headed part of a section."""

    title: str
    note: str
    blocks: tuple[Block, ...]


Block = Text | Bullets | Facts | Definitions | Table | Charts | Fold | Part


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """`opening` is the executive summary: what happened, in sentences."""

    title: str
    run_id: str
    subtitle: str
    verdict: str
    tone: Tone
    opening: tuple[Block, ...]
    sections: tuple[Section, ...]
