"""Requests and answers about entities that are held."""

from __future__ import annotations

from pydantic import model_validator

from hybrid_sync.services.messages import Asked


class HoldAsked(Asked):
    entity: str
    why: str


class HoldsAsked(Asked):
    """Nothing to say."""


class ReleaseAsked(Asked):
    """These entities, or all that a run holds."""

    entities: tuple[str, ...] = ()
    run_id: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> ReleaseAsked:
        if bool(self.entities) == bool(self.run_id):
            raise ValueError("name entities, or a run, and not both")
        return self
