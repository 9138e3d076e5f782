"""Whatever a catalog file, a setting or the secret offers is read: an option that nothing reads is a lie."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from hybrid_sync.catalog import forms, grammar, models
from hybrid_sync.secret import Connections
from hybrid_sync.settings import Settings

ENGINE = Path("layers/engine/hybrid_sync")
COMMAND = Path("cli/hybrid_sync_cli")


def _models() -> Iterator[type[BaseModel]]:
    for module in (grammar, forms, models):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, grammar.Strict) and value.__module__ == module.__name__:
                yield value
    yield Settings
    yield Connections


FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}") for model in _models() for name in model.model_fields
]


def _validates(function: ast.AST) -> bool:
    decorators = getattr(function, "decorator_list", [])
    return any("validator" in ast.unparse(decorator) for decorator in decorators)


def _read(tree: ast.AST) -> Iterator[str]:
    """Attributes that are read, and texts that name one (`need("id_secret")`); what a validator does is no reading."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if _validates(node):
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "need",
            "getattr",
        ):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            # for role in ("column", "currency"): getattr(money, role)
            yield from (e.value for e in node.iter.elts if isinstance(e, ast.Constant) and isinstance(e.value, str))
        waiting += ast.iter_child_nodes(node)


@pytest.fixture(scope="module")
def readings() -> set[str]:
    files = [*ENGINE.rglob("*.py"), *COMMAND.rglob("*.py")]
    return {name for file in files for name in _read(ast.parse(file.read_text("utf-8")))}


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_every_field_has_a_reader(model: type[BaseModel], field: str, readings: set[str]) -> None:
    assert field in readings, f"nothing reads {model.__name__}.{field}: use it, or take it out"


def test_a_validator_is_no_reader() -> None:
    source = "class A:\n  @model_validator()\n  def f(self):\n    return self.lonely\n  def g(self):\n    self.used"
    assert set(_read(ast.parse(source))) == {"used"}
