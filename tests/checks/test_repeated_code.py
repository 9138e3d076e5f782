"""What is written twice is corrected once: no two places of the code share more than eight lines."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOTS = ("layers", "functions", "cli")
LONGEST = 8
_QUIET = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)

Line = tuple[int, str]


def test_no_run_of_lines_stands_in_two_places() -> None:
    assert list(pairs({str(path): lines(path.read_text("utf-8")) for path in sources()})) == []


def sources() -> Iterator[Path]:
    for root in ROOTS:
        yield from sorted(path for path in Path(root).rglob("*.py") if not _is_built(path))


def _is_built(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def lines(source: str) -> list[Line]:
    """The lines that say something: tokens with one space between them, without comments, docstrings and imports.

    A line that holds less than a word (a closing bracket, `else:`) repeats everywhere and is passed over.
    """
    passed = _passed_over(ast.parse(source))
    words: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _QUIET and token.start[0] not in passed:
            words[token.start[0]].append(token.string)
    return [(n, " ".join(said)) for n, said in sorted(words.items()) if sum(word.isidentifier() for word in said) > 1]


def _passed_over(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def pairs(files: dict[str, list[Line]]) -> Iterator[str]:
    """Each longest run over LONGEST lines that stands in two places, as `file:line ~ file:line (lines)`."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for name, said in files.items():
        for at in range(len(said) - LONGEST):
            places[tuple(text for _, text in said[at : at + LONGEST + 1])].append((name, at))
    known: set[tuple[str, int, str, int]] = set()
    for found in places.values():
        for i, (left, a) in enumerate(found):
            for right, b in found[i + 1 :]:
                if left == right and b - a <= LONGEST:
                    continue  # a run that overlaps itself
                if (left, a - 1, right, b - 1) not in known:
                    yield f"{left}:{files[left][a][0]} ~ {right}:{files[right][b][0]}"
                known.add((left, a, right, b))


def test_a_run_that_is_longer_is_found_whatever_its_layout_and_comments() -> None:
    body = [f"value_{i} = compute(value_{i - 1})" for i in range(1, LONGEST + 2)]
    other = [line.replace(" = ", "  =  ") + f"  # {i}" for i, line in enumerate(body)]
    files = {"a.py": lines("\n".join(["import os", *body])), "b.py": lines("\n\n".join(["def f(x): return x", *other]))}
    assert list(pairs(files)) == ["a.py:2 ~ b.py:3"]
    files["b.py"] = files["b.py"][:LONGEST]
    assert list(pairs(files)) == []
