"""Reading catalog files: a mistake is named by file, line and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.check import Mistake, mistakes
from hybrid_sync.catalog.document import MAX_BYTES, Node, decode, parse
from hybrid_sync.catalog.forms import words
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.parsed import Parsed, read_parsed
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import CatalogError

M = TypeVar("M", bound=BaseModel)

WEBHOOKS = "webhooks.yaml"
"""The one file of a catalog that is no entity's."""

_HINTS = {
    "missing": "add it",
    "extra_forbidden": "remove it or correct its spelling",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "string_pattern_mismatch": "write lower-case letters, digits and underscores, as in `{pattern}`",
    "greater_than_equal": "write a larger number",
    "less_than_equal": "write a smaller number",
    "too_short": "write at least one",
    "string_too_short": "write an SQL expression",
    "model_type": "write `name: value` lines below it",
    "string_type": "write text",
    "int_type": "write a whole number",
    "dict_type": "write `name: value` lines below it",
    "tuple_type": "write a list, each item on a line of its own that begins with `- `",
}
# What other tools call it, and how it is said here.
_OTHER_WORDS = {
    "where": "write it as a rule: `rules: [{exclude: not_wanted, when: not (your condition)}]`",
    "filter": "write it as a rule: `rules: [{exclude: not_wanted, when: not (your condition)}]`",
    "join": "write `joins:`",
    "table": "write `from: table alias`",
    "source": "write `sources:` with a name for each",
    "depends_on": "references order the entities by themselves: remove it",
    "delete": "write `on_delete:`",
}


@dataclass(frozen=True)
class Loaded:
    """A checked catalog that still knows where each part of it is written."""

    catalog: Catalog
    places: Mapping[str, _Places]

    def place(self, entity: str, path: Sequence[object] = ()) -> str:
        """`file:line` of a part of an entity."""
        return self.places[entity].place(path)


def load(folder: Path | None = None) -> Catalog:
    """Every `*.yaml` of `folder` (by default the deployed catalog layer) as one checked catalog.

    Raises CatalogError that names every mistake found, one sentence each.
    """
    return load_with_places(folder).catalog


def load_with_places(folder: Path | None) -> Loaded:
    """`load` with the file and line of every part, for a check that has more to say about them."""
    files = _files(folder)
    parsed = read_parsed(_root(folder))
    entities: dict[str, Entity] = {}
    places: dict[str, _Places] = {}
    found: list[str] = []
    for file in files:
        try:
            entity, where = _read(file, Entity, parsed)
        except CatalogError as error:
            found.append(error.message)
            continue
        if entity.entity in entities:
            found.append(f"{file.name}:1: entity {entity.entity} is also in {places[entity.entity].file}: keep one.")
            continue
        entities[entity.entity], places[entity.entity] = entity, where
    if not found:
        found = [places[m.entity].sentence(m) for m in mistakes(entities)]
    if found:
        raise CatalogError("\n".join(found))
    return Loaded(Catalog(entities, {name: where.file for name, where in places.items()}), places)


def read_beside(folder: Path | None, model: type[M]) -> tuple[M, _Places] | None:
    """The file WEBHOOKS of a catalog; None where there is none."""
    root = _root(folder)
    file = root / WEBHOOKS
    return _read(file, model, read_parsed(root)) if file.is_file() else None


def _root(folder: Path | None) -> Traversable:
    return folder if folder is not None else resources.files("hybrid_sync_catalog")


def _files(folder: Path | None) -> list[Traversable]:
    try:
        root = _root(folder)
        found = sorted(root.iterdir(), key=lambda f: f.name)
    except (ModuleNotFoundError, FileNotFoundError, NotADirectoryError):
        raise CatalogError(
            f"There is no catalog at {folder or 'the catalog layer'}.",
            "Name a folder that holds entity YAML files.",
        ) from None
    except PermissionError:
        raise CatalogError(f"The catalog at {folder or 'the catalog layer'} may not be read.") from None
    # A file that looks like an entity's and is not read would be an entity that is silently not synced.
    odd = [
        f"{f.name}:1: entity files end in .yaml: rename it to {f.name[: f.name.rindex('.')]}.yaml."
        for f in found
        if f.name.lower().endswith((".yml", ".yaml")) and not f.name.endswith(".yaml")
    ]
    if odd:
        raise CatalogError("\n".join(odd))
    files = [f for f in found if f.name.endswith(".yaml") and f.name != WEBHOOKS]
    if not files:
        raise CatalogError(f"The catalog {folder or 'layer'} holds no *.yaml file.", "Write at least one entity.")
    return files


def _content(file: Traversable) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise CatalogError(f"{file.name}:1: this is a folder: an entity is one file, so rename or move it.") from None
    except OSError:
        raise CatalogError(f"{file.name}:1: the file cannot be read: correct its permissions or the link.") from None


def _read(file: Traversable, model: type[M], parsed: Parsed) -> tuple[M, _Places]:
    content = _content(file)
    where = _Places(file.name, content)
    data = parsed.data(file.name) if parsed.has(file.name, content) else where.root.data()
    if not isinstance(data, dict):
        begins = "an entity file begins with `entity: name`" if model is Entity else "it begins with `webhooks:`"
        raise CatalogError(f"{file.name}:1: {begins}: write that first.")
    try:
        return model.model_validate(data), where
    except ValidationError as error:
        sentences = dict.fromkeys(where.problem(dict(problem)) for problem in error.errors())
        raise CatalogError("\n".join(sentences)) from None


class _Places:
    """Where in the file a path such as ("sources", "payment", "columns", "total") stands."""

    def __init__(self, file: str, content: bytes) -> None:
        self.file = file
        self._content = content

    @cached_property
    def root(self) -> Node:
        """The file as YAML; CatalogError where it is none."""
        return parse(self.file, decode(self.file, self._content))

    def problem(self, problem: dict[str, Any]) -> str:
        path = _as_written(problem["loc"])
        context: dict[str, Any] = problem.get("ctx") or {}
        shown = ".".join(_short(str(p)) for p in path)
        place = self.place(path)
        if problem["type"] == "value_error":
            return f"{place}: {shown or 'the entity'}: {context['error']}."
        if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            return f"{place}: {shown}: write an SQL expression, or one of: {', '.join(words())}."
        hint = _HINTS.get(problem["type"], "correct it").format(
            expected=context.get("expected", ""), pattern=context.get("pattern", "")
        )
        if problem["type"] == "extra_forbidden":
            hint = _OTHER_WORDS.get(str(path[-1]), hint)
        said = str(problem["msg"]).rstrip(".")
        return f"{place}: {shown}: {said[0].lower()}{said[1:]}: {hint}."

    def sentence(self, mistake: Mistake) -> str:
        return f"{self.place(mistake.path)}: {mistake.text}"

    def place(self, path: Sequence[object]) -> str:
        return f"{self.file}:{self.root.line_of(path)}"


def _as_written(path: Sequence[object]) -> tuple[object, ...]:
    """The path without what the model puts in: a form's tag before its keys, and `sql` where a bare text stands."""
    found: list[object] = []
    for part in path:
        if part != "[key]" and (not found or part != found[-1]):
            found.append(part)
    return tuple(found[:-1] if found[-1:] == ["sql"] and len(found) < len(path) else found)


def _short(part: str) -> str:
    return part if len(part) <= 60 else f"{part[:60]}…"
