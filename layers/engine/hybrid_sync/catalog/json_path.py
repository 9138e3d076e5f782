"""Where in a JSON document a value stands: `data.object.id`, `items[*].id`, `refs[entity=payments].legacy_id`.

A name must be there; `[*]` takes each item of a list, and `[name=text]` those that say so, which may be none.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)(?:\[(?:(\*)|([A-Za-z_][A-Za-z0-9_-]*)=([A-Za-z0-9_.:-]+))\])?")
Step = tuple[str, bool, str, str]
"""A name; whether each item of the list there is meant; or the field, and its text, that an item must have."""


class NotThere(LookupError):
    """The document has nothing at this place, or something of another shape."""


def steps(path: str) -> list[Step]:
    """The path taken apart; ValueError where it is none."""
    found = [_STEP.fullmatch(part) for part in _parts(path)]
    if not path or None in found:
        raise ValueError("write names with dots between them, such as data.object.id or refs[entity=orders].legacy_id")
    return [(m[1], bool(m[2]), m[3] or "", m[4] or "") for m in found if m]


def values(document: Any, path: str) -> list[Any]:
    """What stands at the path, in the order of the document; NotThere where a name on it is missing."""
    found = [document]
    for name, every, field, text in steps(path):
        if not all(isinstance(one, dict) and name in one for one in found):
            raise NotThere(name)
        found = [one[name] for one in found]
        if every or field:
            if not all(isinstance(one, list) for one in found):
                raise NotThere(name)
            found = [item for one in found for item in one if every or _says(item, field, text)]
    return found


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Make a document in which `values` finds one more value at the path."""
    way = steps(path)
    for (name, every, field, text), (following, *_) in pairwise(way):
        if every or field:
            items = document.setdefault(name, [])
            # The parts of one key stand in one item.
            if not items or following in items[-1] or not (every or _says(items[-1], field, text)):
                items.append({field: text} if field else {})
            document = items[-1]
        else:
            document = document.setdefault(name, {})
    name, every, *_ = way[-1]
    if every:
        document.setdefault(name, []).append(value)
    else:
        document[name] = value


def _says(item: Any, field: str, text: str) -> bool:
    return isinstance(item, dict) and str(item.get(field)) == text


def _parts(path: str) -> list[str]:
    """Cut at the dots that stand outside of brackets."""
    return re.split(r"\.(?![^\[]*\])", path)
