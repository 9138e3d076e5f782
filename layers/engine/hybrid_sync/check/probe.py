"""The table of probes: each looks at one thing, says what it checks, and hides no other by failing."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import psycopg

from hybrid_sync.blame import Side
from hybrid_sync.check import probes
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, in_order, note, warning
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import SyncError

Needed = Side | Literal["aws"]
Look = Callable[[ProbeContext], Iterable[Finding]]


@dataclass(frozen=True)
class Probe:
    """One look; `needs` are the sides without which there is nothing to look at."""

    name: str
    promise: str
    needs: tuple[Needed, ...]
    look: Look


def probe(*needs: Needed) -> Callable[[Look], Probe]:
    """Make a function a probe, named like it; the first line of its docstring is its promise."""

    def made(look: Look) -> Probe:
        return Probe(look.__name__, str(look.__doc__).splitlines()[0], needs, look)

    return made


def table() -> list[Probe]:
    """Every probe of every module of `check.probes`, in the order of modules and lines."""
    found: list[Probe] = []
    for module in sorted(pkgutil.iter_modules(probes.__path__), key=lambda module: module.name):
        loaded = importlib.import_module(f"{probes.__name__}.{module.name}")
        found += [value for value in vars(loaded).values() if isinstance(value, Probe)]
    return found


def look(context: ProbeContext, probes: Iterable[Probe]) -> list[Finding]:
    """What all of these find; a probe that fails is a finding itself."""
    found: list[Finding] = []
    skipped: list[Probe] = []
    for one in probes:
        usable: set[Needed] = {side for side, connection in context.connections.items() if not connection.closed}
        if not (usable | ({"aws"} if context.parts else set())).issuperset(one.needs):
            skipped.append(one)
            continue
        found += _looked(context, one)
    if skipped:
        names = ", ".join(one.name for one in skipped)
        found.append(note("not_looked", f"Out of reach, and so not looked at: {names}."))
    return in_order(found)


def _looked(context: ProbeContext, one: Probe) -> Iterator[Finding]:
    try:
        yield from one.look(context)
    except Exception as error:  # noqa: BLE001 - whatever stands in the way of one look, the others go on
        yield warning(
            "could_not_look", f"{one.name}: could not look ({_why(error)}). It checks: {one.promise}", _remedy(error)
        )


def _why(error: Exception) -> str:
    """Codes and our own sentences only; what a server says may quote a value."""
    if isinstance(error, SyncError):
        return f"{error.code}: {error.message}"
    state = f" {error.sqlstate}" if isinstance(error, psycopg.Error) and error.sqlstate else ""
    return f"{type(error).__name__}{state}"


def _remedy(error: Exception) -> str:
    return (error.remedy if isinstance(error, SyncError) else "") or "Look up the code, then check again."
