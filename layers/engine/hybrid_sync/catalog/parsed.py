"""A catalog's files as they were parsed when it was built: a worker that starts reads them without YAML.

The YAML stays the one source: what was parsed counts only for a file whose bytes are still the ones it was parsed from,
and a mistake's line is looked up in the file itself.  A folder without this, as a checkout is, is parsed as it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hybrid_sync.catalog.document import Text, decode, parse

FILE = "parsed.json"
FORM = 1
"""Raised whenever `parse` reads something differently: what was parsed in another form does not count."""
_BARE = "-"


class Parsed:
    """What is known of the files of one folder."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._files = dict(known["files"]) if known.get("form") == FORM else {}

    def has(self, file: str, content: bytes) -> bool:
        """Whether exactly these bytes were parsed under this name."""
        return file in self._files and self._files[file]["sha256"] == _hash(content)

    def data(self, file: str) -> Any:
        """What `parse` and `Node.data` make of the file."""
        return _opened(self._files[file]["data"])


def write_parsed(folder: Path) -> None:
    """Parse every file of a built catalog once and for all; CatalogError for one that cannot be parsed."""
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.yaml"))}
    known = {
        name: {"sha256": _hash(content), "data": _packed(parse(name, decode(name, content)).data())}
        for name, content in files.items()
    }
    (folder / FILE).write_text(json.dumps({"form": FORM, "files": known}, separators=(",", ":")), "utf-8")


def read_parsed(folder: Traversable) -> Parsed:
    """What was parsed of the folder when it was built: nothing where nobody has."""
    try:
        return Parsed(json.loads((folder / FILE).read_bytes()))
    except (OSError, ValueError):  # none, or half of one: the YAML is there
        return Parsed({})


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _packed(data: Any) -> Any:
    """A text with the quotes it stood in as its first character."""
    if isinstance(data, dict):
        return {_packed(name): _packed(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_packed(item) for item in data]
    return None if data is None else f"{data.quotes or _BARE}{data}"


def _opened(data: Any) -> Any:
    if isinstance(data, str):
        return Text(data[1:], None if data[0] == _BARE else data[0])
    if isinstance(data, dict):
        return {_opened(name): _opened(value) for name, value in data.items()}
    return None if data is None else [_opened(item) for item in data]
