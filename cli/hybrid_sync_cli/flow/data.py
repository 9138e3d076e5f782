"""How a state takes its data apart and puts it together: paths, payload templates, one intrinsic function.

Each text of the definition is compiled once.  What is not known here is refused then, and not passed over later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Read = Callable[[Any, str], Any]
"""(a state's data, the execution's name) -> a value."""

_PATH = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_EXECUTION_NAME = "$$.Execution.Name"
_FORMAT = re.compile(r"States\.Format\('(?P<text>[^'\\]*)'(?P<given>(?:, *\$[A-Za-z0-9_.]*)+)\)")
_MISSING = object()


class Unknown(Exception):
    """The definition says something that the interpreter does not know."""


class StateError(Exception):
    """A failed state: an error's name and its cause, as Step Functions has them."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


def path(text: object, place: str) -> Read:
    """`$`, `$.name.name` or the execution's name; States.Runtime where there is nothing."""
    if text == _EXECUTION_NAME:
        return lambda data, execution: execution
    find = optional(text, place)

    def read(data: Any, execution: str) -> Any:
        found = find(data)
        if found is _MISSING:
            raise StateError("States.Runtime", f"{place}: there is nothing at {text}.")
        return found

    return read


def optional(text: object, place: str) -> Callable[[Any], Any]:
    """Like `path`, of the data alone; `is_there` says whether there was something."""
    if not isinstance(text, str) or not _PATH.fullmatch(text):
        raise Unknown(f"{place}: {text!r} is no path that is known here.")
    names = text.split(".")[1:]

    def find(data: Any) -> Any:
        for name in names:
            if not isinstance(data, dict) or name not in data:
                return _MISSING
            data = data[name]
        return data

    return find


def is_there(found: object) -> bool:
    """Whether a path has led to a value; null is one."""
    return found is not _MISSING


def template(value: Any, place: str) -> Read:
    """A payload template: fields whose names end in `.$` are read, all others stand for themselves."""
    if isinstance(value, dict):
        fields = dict(_field(str(name), inner, f"{place}.{name}") for name, inner in value.items())
        return lambda data, execution: {name: read(data, execution) for name, read in fields.items()}
    if value is None or isinstance(value, bool | int | float):
        return lambda data, execution: value
    if isinstance(value, str) and not value.startswith(("$", "{%", "States.")):
        return lambda data, execution: value
    raise Unknown(f"{place}: {value!r} is no value that is known here.")


def result_path(text: object, place: str) -> Callable[[Any, Any], Any]:
    """(a state's input, its result) -> what both make: a field of the input, all of it, or (null) none of it."""
    if text is None:
        return lambda data, result: data
    if text == "$":
        return lambda data, result: result
    if not isinstance(text, str) or not _PATH.fullmatch(text) or text.count(".") > 1:
        raise Unknown(f"{place}: {text!r} is no place for a result that is known here.")
    name = text[2:]
    # A copy of the fields alone: nothing below is ever changed.
    return lambda data, result: {**data, name: result}


def _field(name: str, value: Any, place: str) -> tuple[str, Read]:
    if not name.endswith(".$"):
        return name, template(value, place)
    if isinstance(value, str) and value.startswith("States."):
        return name[:-2], _format(value, place)
    return name[:-2], path(value, place)


def _format(text: str, place: str) -> Read:
    found = _FORMAT.fullmatch(text)
    given = [path(part.strip(), place) for part in found["given"].split(",")[1:]] if found else []
    pieces = found["text"].split("{}") if found else []
    if len(pieces) != len(given) + 1 or any(brace in piece for piece in pieces for brace in "{}"):
        raise Unknown(f"{place}: {text!r} is no intrinsic function that is known here.")

    def read(data: Any, execution: str) -> str:
        values = [read(data, execution) for read in given]
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
        return "".join(piece + text for piece, text in zip(pieces, [*texts, ""], strict=True))

    return read
