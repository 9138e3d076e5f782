"""Reading catalog files: a mistake is named by file, line and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.check import Mistake, mistakes
from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import CatalogError

_HINTS = {
    "missing": "add it",
    "extra_forbidden": "remove it or correct its spelling",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "string_pattern_mismatch": "write lower-case letters, digits and underscores, as in `{pattern}`",
    "string_type": "write text",
    "int_type": "write a whole number",
    "dict_type": "write `name: value` lines below it",
    "tuple_type": "write a list, each item on a line of its own that begins with `- `",
}


def load(folder: Path | None = None) -> Catalog:
    """Every `*.yaml` of `folder` (by default the deployed catalog layer) as one checked catalog.

    Raises CatalogError that names every mistake found, one sentence each.
    """
    files = _files(folder)
    entities: dict[str, Entity] = {}
    places: dict[str, _Places] = {}
    found: list[str] = []
    for file in files:
        try:
            entity, where = _read(file)
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
    return Catalog(entities, {name: where.file for name, where in places.items()})


def _files(folder: Path | None) -> list[Traversable]:
    try:
        root: Traversable = folder if folder is not None else resources.files("hybrid_sync_catalog")
        files = sorted((f for f in root.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    except (ModuleNotFoundError, FileNotFoundError, NotADirectoryError):
        raise CatalogError(
            f"There is no catalog at {folder or 'the catalog layer'}.",
            "Name a folder that holds entity YAML files.",
        ) from None
    if not files:
        raise CatalogError(f"The catalog {folder or 'layer'} holds no *.yaml file.", "Write at least one entity.")
    return files


def _read(file: Traversable) -> tuple[Entity, _Places]:
    text = file.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError(f"{file.name}:{line}: this is not YAML ({error.problem}): correct the line.") from None
    where = _Places(file.name, node)
    if not isinstance(data, dict):
        raise CatalogError(f"{file.name}:1: an entity file begins with `entity: name`: write that first.")
    try:
        return Entity.model_validate(data), where
    except ValidationError as error:
        sentences = dict.fromkeys(where.problem(dict(problem)) for problem in error.errors())
        raise CatalogError("\n".join(sentences)) from None


class _Places:
    """Where in the file a path such as ("sources", "payment", "columns", "total") stands."""

    def __init__(self, file: str, node: yaml.Node | None) -> None:
        self.file = file
        self._node = node

    def line(self, path: Sequence[object]) -> int:
        """The line of the deepest part of `path` that exists; lines count from 1."""
        node, line = self._node, 1
        for part in path:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if str(getattr(key, "value", "")) == str(part):
                        node, line = value, key.start_mark.line + 1
                        break
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line

    def problem(self, problem: dict[str, Any]) -> str:
        path: tuple[object, ...] = problem["loc"]
        context: dict[str, Any] = problem.get("ctx") or {}
        shown = ".".join(str(p) for p in path)
        if problem["type"] == "value_error":
            return f"{self.file}:{self.line(path)}: {shown or 'the entity'}: {context['error']}."
        if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            said = "write an SQL expression, or one of: sql, cast, constant, enum + values, json, lower, object"
            return f"{self.file}:{self.line(path)}: {shown}: {said}."
        hint = _HINTS.get(problem["type"], "correct it").format(
            expected=context.get("expected", ""), pattern=context.get("pattern", "")
        )
        said = str(problem["msg"]).rstrip(".")
        return f"{self.file}:{self.line(path)}: {shown}: {said[0].lower()}{said[1:]}: {hint}."

    def sentence(self, mistake: Mistake) -> str:
        return f"{self.file}:{self.line(mistake.path)}: {mistake.text}"
