"""The functions of the flow over a world of one's own: JSON in, JSON out, and the two errors of their entrypoint."""

from __future__ import annotations

import runpy
import threading
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from hybrid_sync import wiring
from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.entrypoint import error_sentence, name_of
from hybrid_sync.errors import SyncError
from hybrid_sync.world import World
from hybrid_sync_cli.stack import home
from tests.flow.conduct import raised
from tests.flow.data import StateError
from tests.flow.execution import Delivery

M = typing.TypeVar("M", bound=BaseModel)
Step = Callable[..., BaseModel | None]
_files: dict[str, tuple[type[BaseModel], Step]] = {}
_reading = threading.Lock()


@dataclass(frozen=True)
class Steps:
    """What the functions do, over a world; only the size of a reconcile's segments may be another one, and nobody
    waits: `wait` says what happens instead."""

    world: World
    segment_rows: int = SEGMENT_ROWS
    wait: Callable[[float], None] = lambda seconds: None

    def __call__(self, function: str, given: BaseModel) -> BaseModel | None:
        _, step = deployed(function)
        more: dict[str, dict[str, Any]] = {
            "reconcile_entity": {"segment_rows": self.segment_rows}, "sync_keys": {"wait": self.wait},
        }  # fmt: skip
        return step(self.world, given, **more.get(function, {}))


@dataclass
class Functions:
    """Delivers to the steps; remembers what each was given and what it said."""

    steps: Steps
    answers: list[tuple[BaseModel, BaseModel | None]] = field(default_factory=list)
    errors: list[tuple[Delivery, SyncError]] = field(default_factory=list)

    def __call__(self, delivery: Delivery) -> Any:
        """The answer as JSON.  A failure without a name of ours is a defect, and no state's error: it is raised."""
        given = payload_of(delivery)
        try:
            result = self.steps(delivery.function, given)
        except SyncError as error:
            self.errors.append((delivery, error))
            raise step_failed(error) from error
        self.answers.append((given, result))
        return None if result is None else result.model_dump(mode="json")

    def said(self, kind: type[M]) -> Iterator[tuple[Any, M]]:
        """What was asked and answered, of this kind."""
        return ((given, result) for given, result in self.answers if isinstance(result, kind))


def step_failed(error: SyncError) -> StateError:
    """As a function's entrypoint lets an error out: under one of three names, with code, sentence and remedy."""
    return raised(name_of(error).__name__, error_sentence(error)[0])


def payload_of(delivery: Delivery) -> BaseModel:
    """The payload as the function's own model; AssertionError when it does not fit."""
    message, _ = deployed(delivery.function)
    try:
        return message.model_validate(delivery.payload)
    except ValidationError as error:
        raise AssertionError(f"{delivery.state} hands {delivery.function} what it does not take: {error}") from error


def deployed(function: str) -> tuple[type[BaseModel], Step]:
    """The message and the step that the function's own file puts together; read once per process."""
    with _reading:
        if function not in _files:
            file = home.project_root() / "functions" / function / "app.py"
            bind, wiring.function = wiring.function, lambda message, step: (message, step)  # type: ignore[assignment]
            try:
                _files[function] = runpy.run_path(str(file))["handler"]
            finally:
                wiring.function = bind
        return _files[function]
