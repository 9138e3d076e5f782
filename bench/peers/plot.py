"""The first load and the delta as bars, in SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

FILE = "bench/results.svg"
_WIDTH, _LABEL, _ROW, _BAR = 860, 270, 26, 16
_OURS, _THEIRS, _INK, _PAPER = "#0b7a75", "#9aa5b1", "#1f2933", "#ffffff"
_WITHOUT_BAR = {"copy_late"}
"""Shown as a number: it is no way to fill tables that somebody uses."""


def drawn(results: dict[str, Any]) -> str:
    """A picture of its own, also on a dark page."""
    parts, y = [], 30
    for phase, title in (("first", "First load, seconds"), ("delta", "A day's changes, seconds")):
        shown = [
            (name, of[phase]["wall"])
            for name, of in results["medians"].items()
            if phase in of and name in results["does"]
        ]
        parts.append(_text(16, y, title, weight=600))
        y += 12
        longest = max(wall for name, wall in shown if name not in _WITHOUT_BAR)
        for name, wall in sorted(shown, key=lambda one: one[1]):
            parts += _row(name, results["labels"][name], wall, longest, y)
            y += _ROW
        y += 30
    parts.append(_text(16, y, f"{results['rows']:,} rows, {results['date']}, commit {results['commit']}", size=11))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 16}" role="img"'
        f' font-family="system-ui, sans-serif" aria-label="First load and a day\'s changes by contestant">\n'
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>\n{body}\n</svg>\n'
    )


def _row(name: str, label: str, wall: float, longest: float, y: int) -> Iterator[str]:
    yield _text(16, y + 13, label)
    length = 0.0 if name in _WITHOUT_BAR else (_WIDTH - _LABEL - 80) * wall / longest
    if length:
        colour = _OURS if name.startswith("engine") else _THEIRS
        yield f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>'
    yield _text(_LABEL + length + 8, y + 13, f"{wall:.1f}")


def _text(x: float, y: float, said: str, *, size: int = 13, weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{_INK}">{escape(said)}</text>'
