"""The first page of a report as it goes out by mail: the verdict, the numbers that matter, causes and remedies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Template

from hybrid_sync.report.document import Tone
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.page import environment, resource
from hybrid_sync.report.story import story_of
from hybrid_sync.report.words import count, reason_title

_COLOURS = {Tone.good: "#0b6b3a", Tone.warning: "#8a5a00", Tone.bad: "#a3201d", Tone.quiet: "#444444"}


def first_page(summary: RunSummary, over: Sequence[str] = ()) -> str:
    """HTML without a head; every text is escaped.  `over` are sentences of what has ended."""
    document = story_of(summary)
    return _template().render(
        document=document, colour=_COLOURS[document.tone], over=over, causes=summary.causes,
    )  # fmt: skip


@cache
def _template() -> Template:
    made = environment(resource)
    made.filters |= {"count": count, "title_of": reason_title}
    return made.get_template("mail.html")
