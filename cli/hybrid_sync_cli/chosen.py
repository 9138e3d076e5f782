"""What whoever deploys has chosen: the template's parameters, as `sam deploy` will read them."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hybrid_sync.services.views.schedule import Clock, Schedule, left_out
from hybrid_sync_cli.errors import CliError

PLATFORMS = {"arm64": "aarch64", "x86_64": "x86_64"}
OLD = "3.11"
"""The Python that Lambda runs on Amazon Linux 2, for which psycopg has no build on arm64."""
_PAIR = re.compile(r"(?:ParameterKey=)?(\w+)(?:,ParameterValue)?=(?:\"([^\"]*)\"|'([^']*)'|(\S*))")
_LOOKED_AHEAD = 550
"""Days, so that each change of the clock comes once at least."""


def overrides(settings: str, arguments: Sequence[str]) -> dict[str, str]:
    """Parameters by name: those of samconfig.toml, unless the arguments give some, which then replace them all."""
    given = [a for a in arguments if "=" in a and not a.startswith("-")]
    if "--parameter-overrides" in arguments:
        return _pairs(" ".join(given))
    environment = _option(arguments, "--config-env") or "default"
    commands: Mapping[str, Any] = tomllib.loads(settings).get(environment, {})
    found = commands.get("deploy", {}).get("parameters", {}).get("parameter_overrides", "")
    return _pairs(" ".join(map(str, found)) if isinstance(found, list) else str(found))


def _option(arguments: Sequence[str], name: str) -> str | None:
    return next((after for one, after in pairwise(arguments) if one == name), None)


def _pairs(text: str) -> dict[str, str]:
    return {name: double or single or bare for name, double, single, bare in _PAIR.findall(text)}


@dataclass(frozen=True)
class Machine:
    """What the functions run on; the layer is built for it, and the template is told the same."""

    python: str
    """3.13"""
    architecture: str
    interpreter: str
    """Compiles the layer: byte code fits only its own minor version."""

    @classmethod
    def chosen(cls, parameters: Mapping[str, str], default_architecture: str) -> Machine:
        """This environment's Python unless LambdaRuntime names another that is installed here, too; the processor that
        is asked for, else the default, or x86_64 where that Python runs on nothing else."""
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        python = parameters.get("LambdaRuntime", f"python{own}").removeprefix("python")
        interpreter = sys.executable if python == own else shutil.which(f"python{python}")
        if interpreter is None:
            raise CliError(
                f"There is no Python {python} here to compile the layer with: install it, or deploy with"
                f" LambdaRuntime=python{own}, this environment's."
            )
        architecture = parameters.get("LambdaArchitecture", "x86_64" if python == OLD else default_architecture)
        if architecture not in PLATFORMS:
            raise CliError(f"LambdaArchitecture is {architecture}: write {' or '.join(PLATFORMS)}.")
        if (python, architecture) == (OLD, "arm64"):
            raise CliError(
                f"Lambda runs Python {OLD} on a system that is too old for psycopg on arm64: deploy with"
                " LambdaArchitecture=x86_64, or take a later Python: rm -rf .venv, then make deploy PYTHON=python3.13."
            )
        return cls(python, architecture, interpreter)

    def environment(self) -> dict[str, str]:
        """As the layer's Makefile takes it; Python 3.11 runs on an older Amazon Linux than the others."""
        system = "manylinux_2_17" if self.python == OLD else "manylinux_2_28"
        return {
            "PYTHON": self.interpreter,
            "HYBRID_SYNC_LAYER_PYTHON": self.python,
            "HYBRID_SYNC_LAYER_PLATFORM": f"{PLATFORMS[self.architecture]}-{system}",
        }

    def require_layer(self, layer: Path) -> None:
        """CliError unless a built layer holds byte code of this Python and libraries of this processor."""
        tag = f".cpython-{self.python.replace('.', '')}"
        if not any(layer.rglob(f"*{tag}.pyc")):
            raise CliError(f"The built layer has no byte code for Python {self.python}: see what its Makefile said.")
        machine = {"arm64": 183, "x86_64": 62}[self.architecture]  # e_machine of an ELF header
        for library in layer.rglob("*.so"):
            with library.open("rb") as file:
                if int.from_bytes(file.read(20)[18:20], "little") != machine:
                    raise CliError(f"{library.name} in the built layer is not for {self.architecture}: build it again.")


def spring_gaps(parameters: Mapping[str, str], today: date) -> list[str]:
    """A sentence for each schedule whose time the clock leaves out on some day, which is then not run."""
    name = parameters.get("ScheduleTimeZone", "UTC")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise CliError(f"ScheduleTimeZone is {name}, which is no time zone: write one such as Europe/Berlin.") from None
    said = []
    for schedule in ("WeeklySchedule", "DailySchedule"):
        if day := _left_out(Schedule(schedule, parameters.get(schedule, ""), name), today):
            said.append(
                f"{schedule} is {parameters[schedule]} in {name}, where the clock leaves this time out on {day}: that"
                " run will not start. Choose a time from 04:00 on."
            )
    return said


def _left_out(schedule: Schedule, today: date) -> date | None:
    """The first day on which it is due at a time that there is not; None of an expression that is not read here."""
    clock = Clock.read(schedule)
    for ahead in range(_LOOKED_AHEAD if clock else 0):
        day = today + timedelta(days=ahead)
        if clock and any(map(left_out, clock.starts(day))):
            return day
    return None
