"""The functions of the flow as their own files bind them: JSON in, JSON out, and the errors of their entrypoint."""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from hybrid_sync.entrypoint import error_sentence, name_of
from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.execution import Delivery
from hybrid_sync_cli.flow.play import raised
from hybrid_sync_cli.stack import home

Step = Callable[..., BaseModel | None]


@functools.cache
def deployed(function: str) -> tuple[type[BaseModel], Step]:
    """The message and the step that the function's own file binds; read once per process."""
    handler: Any = runpy.run_path(str(home.project_root() / "functions" / function / "app.py"))["handler"]
    return handler.message, handler.call


def payload_of(delivery: Delivery) -> BaseModel:
    """The payload as the function's own model; AssertionError when it does not fit."""
    message, _ = deployed(delivery.function)
    try:
        return message.model_validate(delivery.payload)
    except ValidationError as error:
        raise AssertionError(f"{delivery.state} hands {delivery.function} what it does not take: {error}") from error


def step_failed(error: Exception) -> StateError:
    """As a function's entrypoint lets an error out: under one of four names, with code, sentence and remedy."""
    return raised(name_of(error).__name__, error_sentence(error)[0])
