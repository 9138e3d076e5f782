"""A catalog file as YAML 1.2 without guesses: a scalar is the text that stands there, and every part knows its line.

Whether `010` is a number, or `yes` a truth, is for the reader of that place to say (a column's type, a field of the
catalog), never for YAML.  Only null (`null`, `~` or nothing) is not a text.  Aliases repeat what their anchor marks;
tags and merge keys would change a meaning from afar, so they are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from hybrid_sync.catalog.names import quoted
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import CatalogError

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

MAX_BYTES = 1_000_000
"""Of one file; the largest of the sample's has 4 kB."""
_MAX_PARTS = 50_000
"""Scalars, lists and mappings of one file, each alias counted as all that it repeats."""
_MAX_DEPTH = 40
_NULLS = {"", "~", "null", "Null", "NULL"}


class Text(str):
    """A scalar as it is spelled, and in which quotes: None when it stands bare."""

    __slots__ = ("quotes",)
    quotes: str | None

    def __new__(cls, value: str, quotes: str | None = None) -> Text:
        text = super().__new__(cls, value)
        text.quotes = quotes
        return text


@dataclass
class Node:
    """One part of a file: a scalar, a list, or a mapping."""

    line: int
    scalar: Text | None = None
    items: list[Node] | None = None
    entries: list[tuple[Text, int, Node]] | None = None
    """Key, its line, and its value."""
    parts: int = 1
    open: bool = field(default=False, compare=False)

    def data(self) -> Any:
        """As plain Python: dicts, lists, Text and None."""
        if self.entries is not None:
            return {key: value.data() for key, _, value in self.entries}
        if self.items is not None:
            return [item.data() for item in self.items]
        return self.scalar

    def line_of(self, path: Sequence[object]) -> int:
        """The line of the deepest part of `path` that exists; lines count from 1."""
        node, line = self, self.line
        for part in path:
            if node.entries is not None:
                for key, key_line, value in node.entries:
                    if key == str(part) or key == quoted(str(part)):
                        node, line = value, key_line
                        break
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                line = node.line
        return line


def decode(file: str, content: bytes) -> str:
    """The file's text; CatalogError for what is too large or no UTF-8."""
    if len(content) > MAX_BYTES:
        raise CatalogError(f"{file}:1: the file is larger than {MAX_BYTES:,} bytes: split it, one entity per file.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CatalogError(f"{file}:{line}: this is not UTF-8 text: save the file as UTF-8.") from None


def parse(file: str, text: str) -> Node:
    """The one document of a file; CatalogError names file and line of what is not YAML, or not for a catalog."""
    from ruamel.yaml import YAML  # a deployed catalog was parsed when it was built
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        return _Composer(file, YAML(typ="safe", pure=True).parse(text)).document()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CatalogError(f"{file}:{line}: a character here is not allowed in YAML: remove it.") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise CatalogError(
            f"{file}:{mark.line + 1 if mark else 1}: this is not YAML ({_problem(error)}): correct the line."
        ) from None
    except (YAMLError, RecursionError, ValueError):
        raise CatalogError(f"{file}:1: this is not YAML: correct the file.") from None


def _problem(error: MarkedYAMLError) -> str:
    said = " ".join(str(error.problem or error.context or "unreadable").split())
    return "a tab stands where spaces must" if r"'\t'" in said else said


class _Composer:
    """Events to nodes; iterates over the parser, so that a deep file cannot exhaust the stack before it is refused."""

    def __init__(self, file: str, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._depth = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            match type(event).__name__:
                case "DocumentStartEvent":
                    if root is not None:
                        raise self._mistake(event, "a second document begins here: write each entity in its own file")
                    if event.version not in (None, (1, 2)) or event.tags:
                        raise self._mistake(event, "catalog files are YAML 1.2 without directives: remove the line")
                case "StreamStartEvent" | "StreamEndEvent" | "DocumentEndEvent":
                    pass
                case _:
                    root = self._node(event)
        if root is None or (root.entries is None and root.items is None and root.scalar is None):
            raise CatalogError(f"{self._file}:1: the file is empty: begin it with `entity: name`.")
        return root

    def _node(self, event: Any) -> Node:
        line = event.start_mark.line + 1
        if type(event).__name__ == "AliasEvent":
            return self._repeated(event)
        if event.ctag is not None:
            raise self._mistake(event, "tags are not used in a catalog: write the value as it is, in quotes if a text")
        node = Node(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        match type(event).__name__:
            case "ScalarEvent":
                null = event.style is None and event.value in _NULLS
                node.scalar = None if null else self._text(event)
            case "SequenceStartEvent":
                node.items = []
                self._fill(node, event)
            case _:
                node.entries = []
                self._fill(node, event)
        return node

    def _fill(self, node: Node, start: Any) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._mistake(start, f"this is nested more than {_MAX_DEPTH} deep: no catalog is")
        node.open = True
        known: dict[str, int] = {}
        for event in self._events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                break
            child = self._node(event)
            if node.items is not None:
                node.items.append(child)
            else:
                assert node.entries is not None, "a container is a list or a mapping"
                key = self._key(event, child, known)
                child = self._node(next(self._events))
                node.entries.append((key, event.start_mark.line + 1, child))
            node.parts += child.parts
            if node.parts > _MAX_PARTS:
                raise self._mistake(event, f"the file has more than {_MAX_PARTS:,} parts, aliases counted: shorten it")
        node.open = False
        self._depth -= 1

    def _key(self, event: Any, key: Node, known: dict[str, int]) -> Text:
        if key.items is not None or key.entries is not None:
            raise self._mistake(event, "a key must be a text: put it in quotes")
        if key.scalar is None:
            raise self._mistake(event, "a key cannot be null: put it in quotes if the text is meant")
        if key.scalar == "<<" and key.scalar.quotes is None:
            raise self._mistake(event, "YAML 1.2 has no merge key `<<`: write the lines out")
        if key.scalar in known:
            raise self._mistake(
                event, f"the key {_shown(key.scalar)} is also in line {known[key.scalar]}: keep one of the two"
            )
        known[key.scalar] = event.start_mark.line + 1
        return key.scalar

    def _repeated(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._mistake(event, f"nothing before this line is marked &{event.anchor}: write the value out")
        if node.open:
            raise self._mistake(event, f"*{event.anchor} stands inside what it repeats: write the value out")
        return node

    def _text(self, event: Any) -> Text:
        if "\0" in event.value:
            raise self._mistake(event, "PostgreSQL has no text with a NUL character: remove `\\0`")
        if any("\ud800" <= c <= "\udfff" for c in event.value):
            raise self._mistake(event, "half a surrogate pair is no character: write the character itself")
        return Text(event.value, event.style)

    def _mistake(self, event: Any, text: str) -> CatalogError:
        return CatalogError(f"{self._file}:{event.start_mark.line + 1}: {text}.")


def _shown(key: str) -> str:
    return key if len(key) <= 40 else f"{key[:40]}…"
