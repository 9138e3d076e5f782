"""No float touches money: neither in a literal nor in a name, a division or an import, where money is added up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINE = Path("layers/engine/hybrid_sync")
PLACES = [ENGINE / "compare/money.py", ENGINE / "compare/ledger.py", *sorted((ENGINE / "report").glob("money*.py"))]
_NAMES = {"float", "float8", "round", "fsum"}
_MODULES = {"math", "statistics", "numpy", "random"}


def floats(source: str) -> list[str]:
    """Every place where a binary fraction could come in."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        line = f"line {getattr(node, 'lineno', 0)}"
        match node:
            case ast.Constant(value=float() | complex()):
                found.append(f"{line}: the literal {node.value}")
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _NAMES:
                found.append(f"{line}: {name}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                if not _is_path(node):
                    found.append(f"{line}: a division")
            case ast.Import(names=names) if {name.name for name in names} & _MODULES:
                found.append(f"{line}: import {names[0].name}")
            case ast.ImportFrom(module=str(module)) if module in _MODULES:
                found.append(f"{line}: from {module}")
            case ast.Constant(value=str(text)) if "::float" in text or "::real" in text or "double precision" in text:
                found.append(f"{line}: a cast to a float in SQL")
    return found


def _is_path(node: ast.BinOp | ast.AugAssign) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_no_float_touches_money(place: Path) -> None:
    assert floats(place.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "mutant",
    [
        "total = float(amount)", "total = amount * 1.0", "share = part / whole", "total = round(total, 2)",
        "import math", "from statistics import fmean", "query = 'select sum(amount)::float8'", "rest /= 2",
    ],
)  # fmt: skip
def test_the_scan_has_teeth(mutant: str) -> None:
    assert floats(mutant)
