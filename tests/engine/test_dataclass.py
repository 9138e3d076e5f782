"""Our decorator makes of a class what Python's own makes of it."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.dataclass import dataclass

ENGINE = Path("layers/engine/hybrid_sync")
BY_AN_OPERATOR = {"schema/install.py"}
"""What no function loads."""


@dataclass(frozen=True)
class Frozen:
    number: int
    text: str = "x"
    many: list[int] = field(default_factory=list)
    hidden: str = field(default="secret", repr=False)
    beside: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Below(Frozen):
    more: float = 0.5


@dataclass(frozen=True)
class Alone:
    value: Any


@dataclass
class Open:
    number: int
    doubled: int = 0

    def __post_init__(self) -> None:
        self.doubled = 2 * self.number


@dataclasses.dataclass(frozen=True)
class Theirs:
    number: int
    text: str = "x"
    many: list[int] = field(default_factory=list)
    hidden: str = field(default="secret", repr=False)
    beside: int = field(default=0, compare=False)


def test_an_instance_shows_and_compares_itself_as_pythons_own() -> None:
    assert repr(Frozen(1)).replace("Frozen", "Theirs") == repr(Theirs(1))
    assert Frozen(1) == Frozen(1, beside=2) != Frozen(2)
    assert Frozen(1) != Theirs(1)
    assert Below(1) != Frozen(1)
    assert Below(1, more=1.5) == Below(1, "x", [], "secret", 0, 1.5)
    nothing = float("nan")
    assert Alone(nothing) == Alone(nothing)
    assert hash(Alone((1, 2))) == hash(Alone((1, 2)))
    with pytest.raises(TypeError):
        hash(Frozen(1))
    with pytest.raises(TypeError):
        hash(Open(1))


def test_each_instance_has_values_of_its_own() -> None:
    assert Frozen(1).many is not Frozen(1).many
    assert Open(3).doubled == 6
    with pytest.raises(TypeError):
        Frozen()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Frozen(1, other=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("one", [Frozen(1), Below(1)])
def test_nothing_of_a_frozen_one_changes(one: Frozen) -> None:
    with pytest.raises(FrozenInstanceError):
        one.number = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del one.text
    with pytest.raises(FrozenInstanceError):
        one.another = 1  # type: ignore[attr-defined]
    assert one.number == 1


def test_an_open_one_changes() -> None:
    one = Open(1)
    one.number = 2
    assert (one.number, one.doubled) == (2, 2)


def test_pythons_own_tools_work_on_it() -> None:
    one = Frozen(1, many=[1])
    assert dataclasses.replace(one, number=2) == Frozen(2, many=[1])
    assert dataclasses.asdict(one) == dataclasses.asdict(Theirs(1, many=[1]))
    assert [f.name for f in dataclasses.fields(Below)] == ["number", "text", "many", "hidden", "beside", "more"]
    assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one))
    match one:
        case Frozen(number, text):
            assert (number, text) == (1, "x")


def test_every_module_that_a_function_loads_declares_its_classes_with_it() -> None:
    others = {
        path.relative_to(ENGINE).as_posix()
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
        and "dataclass" in [name.name for name in node.names]
    }  # fmt: skip
    assert others == {"dataclass.py", *BY_AN_OPERATOR}
