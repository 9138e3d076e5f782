"""One HTTP request as the function that serves its endpoint sees it, and that function's reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from hybrid_sync.contracts import Message
from hybrid_sync.dataclass import dataclass

if TYPE_CHECKING:
    from hybrid_sync.services.audit import Caller


@dataclass(frozen=True)
class Call:
    """`body` and `query` are of the endpoint's models; `base` is what stands before its path, such as
    `https://abc.execute-api.eu-central-1.amazonaws.com/live`."""

    caller: Caller
    scopes: frozenset[str] = frozenset()
    """What the authorizer has found the caller to be allowed, beside its endpoints."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    body: Any = None
    query: Any = None
    base: str = ""

    @property
    def what(self) -> dict[str, Any]:
        """All that is asked, beside the endpoint itself."""
        given = [m.model_dump(mode="json", exclude_defaults=True) for m in (self.query, self.body) if m is not None]
        return {name: value for part in (self.parameters, *given) for name, value in part.items()}

    def link(self, path: str) -> str:
        """The address of one of our endpoints, for this caller."""
        return self.base + path


@dataclass(frozen=True)
class Reply:
    """What is answered, as a message or as a text; the status is the endpoint's unless another one is given."""

    answer: Message | None = None
    status: HTTPStatus | None = None
    location: str = ""
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
