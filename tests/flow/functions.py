"""The functions of the flow over a world of one's own, which remember what they were asked and what they answered."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.errors import SyncError
from hybrid_sync.world import World
from hybrid_sync_cli.flow.execution import Delivery
from hybrid_sync_cli.flow.functions import deployed as deployed
from hybrid_sync_cli.flow.functions import payload_of as payload_of
from hybrid_sync_cli.flow.functions import step_failed as step_failed

M = typing.TypeVar("M", bound=BaseModel)


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
