"""The functions of the flow over a world of one's own: JSON in, JSON out, and the two errors of their entrypoint."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from hybrid_sync.contracts import EntityTask, ReconciledEntity
from hybrid_sync.entrypoint import told
from hybrid_sync.errors import SyncError
from hybrid_sync.wiring import App
from hybrid_sync.world import World
from tests.flow.conduct import raised
from tests.flow.data import StateError
from tests.flow.execution import Delivery

M = typing.TypeVar("M", bound=BaseModel)


class LocalApp(App):
    """The deployed app; only the size of a reconcile's segments is the world's."""

    def __init__(self, world: World, segment_rows: int) -> None:
        super().__init__(world)  # type: ignore[arg-type]
        self._segment_rows = segment_rows

    def reconcile_entity(self, task: EntityTask) -> ReconciledEntity:
        from hybrid_sync.steps.reconcile_entity import reconcile_entity

        return reconcile_entity(self.world, task, self._segment_rows)


@dataclass
class Functions:
    """Delivers to an app; remembers what it was given and what it said."""

    app: App
    answers: list[tuple[BaseModel, BaseModel | None]] = field(default_factory=list)
    errors: list[tuple[Delivery, SyncError]] = field(default_factory=list)

    def __call__(self, delivery: Delivery) -> Any:
        """The answer as JSON.  A failure without a name of ours is a defect, and no state's error: it is raised."""
        given = payload_of(delivery)
        try:
            result = getattr(self.app, delivery.function)(given)
        except SyncError as error:
            self.errors.append((delivery, error))
            raise step_failed(error) from error
        self.answers.append((given, result))
        return None if result is None else result.model_dump(mode="json")

    def said(self, kind: type[M]) -> Iterator[tuple[Any, M]]:
        """What was asked and answered, of this kind."""
        return ((given, result) for given, result in self.answers if isinstance(result, kind))


def step_failed(error: Exception) -> StateError:
    """As a function's entrypoint lets an error out: under one of two names, with code, sentence and remedy."""
    sentence, transient = told(error)
    return raised("TransientError" if transient else "PermanentError", sentence)


def payload_of(delivery: Delivery) -> BaseModel:
    """The payload as the function's own model; AssertionError when it does not fit."""
    try:
        return asked(delivery.function).model_validate(delivery.payload)
    except ValidationError as error:
        raise AssertionError(f"{delivery.state} hands {delivery.function} what it does not take: {error}") from error


@functools.cache
def asked(function: str) -> type[BaseModel]:
    """What a function is asked with."""
    hints: dict[str, type[BaseModel]] = typing.get_type_hints(getattr(App, function))
    [kind] = (hint for name, hint in hints.items() if name != "return")
    return kind
