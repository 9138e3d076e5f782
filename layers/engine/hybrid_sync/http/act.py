"""What somebody does over HTTP, written down: in the log before anything is done, in log and audit trail when it has
ended, well or not."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from hybrid_sync.entrypoint import error_sentence, logger
from hybrid_sync.errors import SyncError
from hybrid_sync.http.problems import STATUS
from hybrid_sync.services.audit import Caller, Recorder, record
from hybrid_sync.services.messages.trail import Result


class Act:
    """One request, entered when it is known who asks and left with whatever comes of it; `name` is the command's, or
    the endpoint's method and path.  What changes nothing is not written down.

    Identifiers, numbers and people's own words are what is asked: no request can carry a cell value.
    """

    def __init__(self, desk: Recorder, caller: Caller, name: str, *, changes: bool) -> None:
        self._desk = desk
        self._caller = caller
        self._name = name
        self._changes = changes
        self._what: dict[str, Any] = {}
        self._goes_on = False

    def __enter__(self) -> Self:
        return self

    def asked(self, what: dict[str, Any], *, goes_on: bool = False) -> None:
        """The log has it now: the trail's own line needs the target, which may be away.

        `goes_on`: a further call of an act that the log has already.
        """
        self._what = what
        if self._changes and not goes_on:
            logger.info("audit", extra={"outcome": "asked", "command": self._name, "what": what, **vars(self._caller)})

    def answered(self, answer: BaseModel) -> None:
        """With the run that it started, if any; one that goes on ends with its last call."""
        self._goes_on = bool(getattr(answer, "more", False))
        if run_id := getattr(answer, "run_id", None):
            self._what = {"run_id": run_id, **self._what}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception):
            known = isinstance(error, SyncError) and type(error) in STATUS
            self._record("refused" if known else "failed", error_sentence(error)[0].partition(":")[0])
        elif not self._goes_on:
            self._record("done", "")

    def _record(self, outcome: Result, code: str) -> None:
        """What was done is not undone because its record cannot be written."""
        if not self._changes:
            return
        logger.info("audit", extra={"outcome": outcome, "command": self._name, "code": code, **vars(self._caller)})
        try:
            record(self._desk, self._caller, self._name, self._what, outcome, code)
        except Exception as error:  # noqa: BLE001 - such as a target that is away, or is being installed
            logger.error("not in the audit trail", extra={"error": error_sentence(error)[0], **vars(self._caller)})
