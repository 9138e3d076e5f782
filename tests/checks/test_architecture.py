"""docs/architecture.md stays true: each name in it is a module, an attribute, a table of the engine, or a verb."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
MIGRATIONS = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "layers/engine/hybrid_sync/schema/migrations").glob("*.sql")
)
VERBS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
NAMES = sorted(set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)) - {"code"})
OF_SQL = {"pg_catalog", "search_path"}


def _exists(name: str) -> bool:
    if name.startswith("make "):
        return name.removeprefix("make ") in VERBS
    if name.startswith("hybrid_sync."):
        return re.search(rf"create (table {re.escape(name)} |function {re.escape(name)})\(", MIGRATIONS) is not None
    return name in OF_SQL or _in_engine(name)


def _in_engine(name: str) -> bool:
    try:
        importlib.import_module(f"hybrid_sync.{name}")
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(f"hybrid_sync.{module}"), attribute)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_name_on_the_page_exists(name: str) -> None:
    assert _exists(name), f"docs/architecture.md speaks of `{name}`, which is not there any more"


def test_the_drawing_has_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "layers/engine/hybrid_sync").glob("*/__init__.py")}
    drawing = PAGE.partition("```mermaid")[2].partition("```")[0]
    assert packages <= set(re.findall(r"\b(\w+)\[", drawing))
