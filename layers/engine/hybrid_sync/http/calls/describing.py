"""The API about itself: a document for programs, a page for people.  Both are open, and name nothing of the catalog."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.openapi import document

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk


def open_api(_: Desk, call: Call) -> Reply:
    """For the address that was asked."""
    return Reply(text=_document(call.base))


def docs(_: Desk, call: Call) -> Reply:
    """The API's documentation as a page that the server renders: no script, no request to another host."""
    from hybrid_sync.http.manual import manual

    text, policy = manual(call.base)
    return Reply(text=text, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


@cache
def _document(base: str) -> str:
    return json.dumps(document(base))
