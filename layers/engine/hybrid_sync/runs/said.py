"""What a request says where it is stored and where it begins: to functions that may be older or newer than this one."""

from __future__ import annotations

from typing import Any

from hybrid_sync.contracts import Message


def said(request: Message) -> dict[str, Any]:
    """A request as it is passed on: without its run's id, which is the execution's name, and without what is as usual.

    While a stack is updated, or an update is taken back, one function is newer than another for moments: what only the
    newer one knows stands in no request that does not need it.  The profile is always there, since the state machine
    chooses the way by it, and by whether rows are named.
    """
    given = request.model_dump(mode="json", exclude_defaults=True, exclude={"run_id"})
    return {"profile": getattr(request, "profile", None), **given}
