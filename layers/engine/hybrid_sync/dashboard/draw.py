"""Pages from templates: every text is escaped; numbers, times and names read as in the reports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from hybrid_sync.dashboard.request import Request
from hybrid_sync.dashboard.session import Visitor, csrf_of
from hybrid_sync.dashboard.strip import strip
from hybrid_sync.report import page as report
from hybrid_sync.report import words
from hybrid_sync.report.charts import meter
from hybrid_sync.report.money import in_words
from hybrid_sync.services.views.model import Week

VENDORED = "hybrid_sync_vendored"
"""The folder that the layer of vendored files puts beside the engine."""
_RUN_NAME = re.compile(r"\b([a-z_]+-\d{8}T\d{6}-\w+)\b")
_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def page(name: str, request: Request, visitor: Visitor | None, **given: Any) -> str:
    """A template drawn for this visitor."""
    now: datetime = given.get("now") or datetime.now(UTC)
    assets = f"{request.root}assets/{version()}"
    return _environment().get_template(name).render(
        request=request, root=request.root, home=request.home, visitor=visitor, asset=assets,
        csrf=csrf_of(request, visitor),
        ago=lambda at: _ago(at, now), until=lambda at: _until(at, now), **{**given, "now": now},
    )  # fmt: skip


@cache
def asset(name: str) -> tuple[str, str] | None:
    """A file that pages use, and its type; None where there is none."""
    text = _ASSETS[name]() if name in _ASSETS else None
    return None if text is None else (text, _KINDS[name.rpartition(".")[2]])


@cache
def version() -> str:
    """Changes with any of them, so that a browser may keep them for ever."""
    return hashlib.sha256("".join(read() for read in _ASSETS.values()).encode()).hexdigest()[:12]


def _of(folder: str, name: str) -> Callable[[], str]:
    return lambda: (resources.files(folder) / name).read_text(encoding="utf-8")


_ASSETS: dict[str, Callable[[], str]] = {
    "report.css": lambda: report.resource("page.css"),
    "dashboard.css": _of("hybrid_sync.dashboard", "dashboard.css"),
    "htmx.js": _of(VENDORED, "htmx.min.js"),
}


@cache
def _environment() -> Environment:
    made = report.environment(_template)
    made.filters |= {
        "age": words.age, "amount": _amount, "capital": words.capital, "compact": words.compact, "count": words.count,
        "day": words.day, "duration": words.duration, "iso": _iso, "listed": words.listed,
        "moment": words.moment, "plain": _plain,
        "breakable": _breakable, "named": _named, "percent": _percent,
        "status_word": words.status_word, "strip": _strip, "bar": _bar,
    }  # fmt: skip
    made.globals["n_of"] = words.n_of
    return made


@cache
def _template(name: str) -> str:
    ours = resources.files("hybrid_sync.dashboard") / "templates" / name
    return ours.read_text(encoding="utf-8") if ours.is_file() else report.resource(name)


def _amount(amount: Decimal, currency: str) -> str:
    return in_words(amount, currency)


def _percent(share: float | None) -> str:
    """Never apart from its sign."""
    return words.percent(share).replace(" %", "\u00a0%")


def _breakable(name: str) -> Markup:
    """A long name goes on in the next line behind an underscore, and is copied as it is."""
    return Markup("_<wbr>").join(name.split("_"))  # nosec B704


def _named(text: str) -> Markup:
    """Runs' names in a sentence stay whole."""
    found = _RUN_NAME.split(text)  # what stands between, and the names
    parts = [Markup("<code>{}</code>").format(one) if place % 2 else escape(one) for place, one in enumerate(found)]
    return Markup("").join(parts)  # nosec B704


def _plain(value: Any) -> str:
    """What an act was about, without the punctuation of JSON."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(held)}" for name, held in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _ago(at: datetime, now: datetime) -> str:
    return f"{words.age(now - at)} ago"


def _until(at: datetime, now: datetime) -> str:
    return f"in {words.age(at - now)}"


# Drawn from numbers, and from labels that are escaped where they are drawn.


def _strip(weeks: tuple[Week, ...]) -> Markup:
    return Markup(strip(weeks))  # nosec B704


def _bar(share: float) -> Markup:
    return Markup(meter(share))  # nosec B704
