"""An act of the dashboard: what the page says before it, what its form asks, which service does it, and which page
follows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from hybrid_sync.contracts import Message, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.entrypoint import parsed
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.messages.runs import StartAsked
from hybrid_sync.services.roles import Role
from hybrid_sync.services.views.undoing import Undoing

Form = Mapping[str, str]


@dataclass(frozen=True)
class Before:
    """What the page says before an act is done; `fields` are what its form asks for."""

    title: str
    follows: tuple[str, ...]
    button: str
    danger: bool = False
    fields: tuple[str, ...] = ()
    hidden: Form = field(default_factory=dict)
    undoing: Undoing | None = None
    of_run: bool = False
    """Its run is named besides."""
    refused: str = ""
    """Why it cannot be done."""


@dataclass(frozen=True)
class Done:
    """Where to look now, and in a word what has become of it."""

    href: str
    said: str
    again: Form = field(default_factory=dict)
    """What goes on needs another call with these."""


@dataclass(frozen=True)
class Kind:
    """One act; `command` is the operator's command that it is, by whose role and name it is judged and recorded."""

    command: str
    before: Callable[[Desk, str], Before]
    asks: Callable[[Desk, str, Form], Asked]
    serve: Callable[[Desk, Any, str], Message]
    done: Callable[[str, Message], Done]
    role: Role = Role.operator


def name_of(profile: str, desk: Desk) -> dict[str, str]:
    """The run's name travels with the form: pressed twice, it starts one run."""
    return {"run_id": f"{profile}-{desk.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"}


def starting(form: Form, request: RunRequest) -> StartAsked:
    """The run by the name that the form carries."""
    return parsed(StartAsked, {"run_id": form.get("run_id", ""), "request": request})


def started(_: str, answer: Message) -> Done:
    """Leads to the page of the run that was started."""
    return Done(f"runs/{getattr(answer, 'run_id', '')}", "started")
