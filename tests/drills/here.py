"""What a person does in a drill: let legacy go on, give a command, carry a run out without AWS."""

from __future__ import annotations

import re
from pathlib import Path

from tests.drills.ground import Ground, NotWell
from tests.drills.places import commands

TABLE = "dispatch_office"


def changed(ground: Ground) -> None:
    """Legacy goes on."""
    ground.legacy(f"update {TABLE} set zip = case zip when 'drill' then 'later' else 'drill' end where id % 2 = 0")


def told(*words: str) -> str:
    """What a command prints; NotWell where it does not do what it was asked for."""
    [(_, printed)] = commands([[*words]])
    if b"hybrid-sync:" in printed:
        raise NotWell(printed.decode())
    return printed.decode()


def carry_here(ground: Ground, copy: Path) -> None:
    words = ["run", "--here", "--secret", str(copy), "--override-lease", "AWS is away", "--profile", ground.profile]
    words += [word for entity in ground.entities for word in ("--entity", entity)]
    [(_, printed)] = commands([words])
    if not re.search(rb"Run \S+: (succeeded|degraded) in", printed):
        raise NotWell(printed.decode())
