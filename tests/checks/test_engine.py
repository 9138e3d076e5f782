"""Rules of the engine that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ENGINE = Path("layers/engine/hybrid_sync")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ENGINE.rglob("*.py")):
        yield path.relative_to(ENGINE), ast.parse(path.read_text("utf-8"))


def test_only_settings_reads_the_environment() -> None:
    readers = {
        str(path)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    }
    assert readers == {"settings.py"}


def test_every_module_says_what_it_promises() -> None:
    assert [str(path) for path, tree in modules() if not ast.get_docstring(tree)] == []


def test_files_and_functions_stay_readable() -> None:
    """No file of the engine is over 320 lines, and no function over 60."""
    long = [str(path) for path, _ in modules() if len((ENGINE / path).read_text("utf-8").splitlines()) > 320]
    long += [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or node.lineno) - node.lineno + 1 > 60
    ]
    assert long == []


# What else than keys.py may name the type of a key's part, and why.
KEY_TYPES = {
    "catalog/exact.py": "integers of any column are compared",
    "schema/key_proof.py": "asks legacy whether a unique index is one of integers",
}


def test_only_keys_knows_that_a_key_is_made_of_integers() -> None:
    """In SQL keys.py writes `int8` for a part of a key and everybody else writes `bigint` for any other number, so a
    cast, an array or a first part (`key[1]`) elsewhere is one of a key.  In Python nobody else reads an integer out of
    a key's bytes or counts with one of its parts; key_values.py says it of values, many_keys.py of many."""
    found = [
        f"{path}:{node.lineno}: {what}"
        for path, tree in modules()
        if str(path) not in ("keys.py", "key_values.py", "many_keys.py")
        for node in ast.walk(tree)
        if (what := _of_keys(node)) and not ("int8" in what and str(path) in KEY_TYPES)
    ]
    assert found == []


_IN_SQL = re.compile(r"\bint8\b|\bbigint\[\]|\bkey\[1\]|\bkey\w*\}?\)?::bigint", re.IGNORECASE)


def _of_keys(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and (hit := _IN_SQL.search(node.value)):
        return hit.group()
    if isinstance(node, ast.Attribute) and node.attr in ("from_bytes", "to_bytes"):
        return node.attr
    parts = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "key"
    if parts and isinstance(node.slice, ast.Constant):
        return ast.unparse(node)
    return None


def test_sql_is_never_built_from_text() -> None:
    """No f-string, no concatenation and no format call becomes a statement: psycopg.sql composes them."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("execute", "executemany", "copy", "SQL")
        and node.args
        and _is_built(node.args[0])
    ]
    assert found == []


def _is_built(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add) and (_is_text(node.left) or _is_text(node.right))
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and _is_text(node.func.value)
    )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_step_of_a_run_asks_whether_it_is_of_the_version_that_planned_the_run() -> None:
    """An undo works from the journal, by whatever is deployed; a failure is recorded, whatever has failed; a check is
    no step of a run."""
    beside = {"rollback_run", "record_failure", "check_deployment"}
    steps = set(
        re.findall(r"FunctionName: \$\{(\w+)Function\}", Path("statemachine/sync_run.asl.yaml").read_text("utf-8"))
    )
    files = {name: "_".join(re.findall("[A-Z][a-z]+", name)).lower() for name in steps}
    asking = re.compile(r"same_version\(world, |\bwith opened\(world, |first=same_version\(self\._world, ")
    silent = {f for f in files.values() if not asking.search((ENGINE / "steps" / f"{f}.py").read_text("utf-8"))}
    assert silent == beside
