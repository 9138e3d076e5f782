"""Charts as inline SVG: drawn by numbers alone, with the same numbers as text for those who do not see them."""

from __future__ import annotations

from html import escape

from hybrid_sync.report.document import Chart, Point

WIDTH = 320
_TALL, _BASE, _HEIGHT = 84, 108, 128
_ROW = 36


def svg(chart: Chart) -> str:
    """One chart; colours come from the page's style sheet."""
    return _bars(chart) if chart.horizontal else _columns(chart)


def meter(share: float) -> str:
    """A small bar beside a number, which says the same: hidden from those who listen."""
    width = round(min(max(share, 0.0), 1.0) * 100, 1)
    return (
        '<svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<rect class="track" width="100" height="4"/><rect class="bar now" width="{width}" height="4"/></svg>'
    )


def _columns(chart: Chart) -> str:
    largest = max((p.value or 0 for p in chart.points), default=0) or 1
    slot = WIDTH / max(len(chart.points), 1)
    wide = min(30.0, slot * 0.62)
    drawn = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{_BASE}" y2="{_BASE}"/>']
    for place, point in enumerate(chart.points):
        middle = slot * (place + 0.5)
        high = 0.0 if point.value is None else max(point.value / largest * _TALL, 1.5)
        now = " now" if place == len(chart.points) - 1 else ""
        drawn.append(
            f'<rect class="bar{now}" x="{middle - wide / 2:.1f}" y="{_BASE - high:.1f}" '
            f'width="{wide:.1f}" height="{high:.1f}" rx="2"/>'
            f'<text class="value{now}" x="{middle:.1f}" y="{_BASE - high - 6:.1f}">{escape(point.shown)}</text>'
            f'<text class="label" x="{middle:.1f}" y="{_BASE + 15}">{escape(point.label)}</text>'
        )
    return _svg(chart, _HEIGHT, drawn)


def _bars(chart: Chart) -> str:
    largest = max((p.value or 0 for p in chart.points), default=0) or 1
    drawn: list[str] = []
    for place, point in enumerate(chart.points):
        top = place * _ROW
        long = max((point.value or 0) / largest * WIDTH, 2.0)
        drawn.append(
            f'<text class="name" x="0" y="{top + 13}">{escape(point.label)}</text>'
            f'<text class="amount" x="{WIDTH}" y="{top + 13}">{escape(point.shown)}</text>'
            f'<rect class="track" x="0" y="{top + 20}" width="{WIDTH}" height="7" rx="3.5"/>'
            f'<rect class="bar now" x="0" y="{top + 20}" width="{long:.1f}" height="7" rx="3.5"/>'
        )
    return _svg(chart, len(chart.points) * _ROW, drawn)


def _svg(chart: Chart, height: int, drawn: list[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(_description(chart))}">'
        f"{''.join(drawn)}</svg>"
    )


def _description(chart: Chart) -> str:
    def one(point: Point) -> str:
        return f"{point.label}: {point.shown}"

    return f"{chart.title}. {'; '.join(map(one, chart.points))}."
