"""The states of the flow, understood: what each reads, makes, retries, catches, and which state follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_sync_cli.flow.data import Read


@dataclass(frozen=True)
class Machine:
    """States that can name each other: the whole definition's, or those of a map's items."""

    start: str
    states: Mapping[str, State]


@dataclass(frozen=True)
class Flow:
    """The definition; after `seconds` an execution ends whatever it does."""

    machine: Machine
    seconds: int


@dataclass(frozen=True)
class Retrier:
    errors: frozenset[str]
    interval: int
    rate: float
    attempts: int
    longest: int

    def delay(self, retries: int) -> float:
        """Seconds before the next attempt: jitter, which spreads many callers, may only shorten them."""
        return float(min(self.interval * self.rate**retries, self.longest))


@dataclass(frozen=True)
class Catcher:
    errors: frozenset[str]
    put: Callable[[Any, Any], Any]
    then: str


@dataclass(frozen=True)
class Task:
    function: str
    payload: Read
    output: Callable[[Any, Any, str], Any]
    """(input, result, execution's name) -> output."""
    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]
    then: str | None


@dataclass(frozen=True)
class Map:
    """`bucket` and `key` of a distributed one, `items` of any other."""

    machine: Machine
    items: Read | None
    bucket: Read | None
    key: Read | None
    most: int
    """Items at the same time; 0 is any number."""
    output: Callable[[Any, Any, str], Any]
    catch: tuple[Catcher, ...]
    then: str | None


@dataclass(frozen=True)
class Choice:
    rules: tuple[tuple[Callable[[Any, str], bool], str], ...]
    default: str


@dataclass(frozen=True)
class Pass:
    output: Read
    then: str | None


@dataclass(frozen=True)
class Succeed:
    pass


@dataclass(frozen=True)
class Fail:
    error: Read
    cause: Read


State = Task | Map | Choice | Pass | Succeed | Fail
