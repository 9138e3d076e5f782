"""Twelve weeks as SVG: a column for each, as high as its rows are current, with a mark that says how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hybrid_sync.report.words import percent, status_word
from hybrid_sync.services.views.model import ROWS_GOAL, Week

_SLOT, _WIDE, _TALL, _TOP, _MARGIN = 90, 64, 72, 26, 38
_LEAST = 0.95
"""The column's foot: what matters happens between here and 100 %."""
_TONES = {"succeeded": "good", "degraded": "warning", "failed": "bad", "lost": "bad"}
_MARKS = {
    "good": "M-4 0 -1 3 5-4",
    "warning": "M0-4V1M0 3.6v.2",
    "bad": "M-3.5-3.5l7 7M3.5-3.5l-7 7",
    "quiet": "M-4 0h8",
}


def strip(weeks: Sequence[Week]) -> str:
    """An image of the weeks; a screen reader reads the same in words."""
    base = _TOP + _TALL
    goal = base - _high(ROWS_GOAL)
    drawn = [
        f'<line class="goal" x1="0" x2="{_SLOT * len(weeks)}" y1="{goal:.1f}" y2="{goal:.1f}"/>',
        f'<text class="goal-label" x="{_SLOT * len(weeks) + 6}" y="{goal + 4:.1f}">{ROWS_GOAL * 100:.0f} %</text>',
    ]
    for place, week in enumerate(weeks):
        middle = _SLOT * place + _SLOT / 2
        tone = _TONES.get(week.status, "quiet")
        high = _high(week.share) if week.share is not None else 3
        drawn += [
            f'<rect class="week {tone}" x="{middle - _WIDE / 2:.1f}" y="{base - high:.1f}" width="{_WIDE}"'
            f' height="{high:.1f}" rx="4"><title>{escape(_words(week))}</title></rect>',
            f'<g class="mark {tone}" transform="translate({middle:.1f} 10)"><circle r="8"/>'
            f'<path d="{_MARKS[tone]}"/></g>',
            f'<text class="label" x="{middle:.1f}" y="{base + 16}">{week.begins:%-d %b}</text>',
        ]
    said = escape("Weekly runs of the last twelve weeks. " + " ".join(map(_words, weeks)))
    return (
        f'<svg class="strip" viewBox="0 0 {_SLOT * len(weeks) + _MARGIN} {base + 24}" role="img" aria-label="{said}">'
        f"{''.join(drawn)}</svg>"
    )


def _high(share: float) -> float:
    return max((share - _LEAST) / (1 - _LEAST), 0.08) * _TALL


def _words(week: Week) -> str:
    what = status_word(week.status) if week.status else "no weekly run"
    rows = f", {percent(week.share)} of rows current" if week.share is not None else ""
    return f"Week of {week.begins:%-d %B}: {what}{rows}."
