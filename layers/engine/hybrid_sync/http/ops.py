"""`POST /ops/{command}`: IAM has let the caller in by the path; the command is served, and changes are recorded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hybrid_sync.entrypoint import error_sentence, logger, parsed
from hybrid_sync.errors import RequestForbidden, SyncError
from hybrid_sync.http.answers import Response, read, refused, request_id, response
from hybrid_sync.http.problems import STATUS, AnswerTooLarge
from hybrid_sync.services.audit import Caller, Result, record
from hybrid_sync.services.commands import COMMANDS, Command
from hybrid_sync.services.desk import Asked, Desk

LONGEST_ANSWER = 4_000_000
"""Lambda lets 6 MB pass, in which each quotation mark of ours counts twice."""


class Ops:
    """The commands of the table over one deployment."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def resolve(self, event: dict[str, Any]) -> Response:
        """One request in, one response out; no exception leaves."""
        try:
            return response(HTTPStatus.OK, self._answer(event))
        except Exception as error:  # noqa: BLE001 - the border: every failure leaves as a problem
            return refused(error, event)

    def _answer(self, event: dict[str, Any]) -> str:
        caller = _caller(event)
        command = COMMANDS[str(event["resource"]).rpartition("/")[2]]
        what: dict[str, Any] = {}
        try:
            asked = parsed(command.asks, read(event))
            what = asked.model_dump(mode="json", exclude_defaults=True)
            self._note(command, caller, what, asked)
            answer = command.serve(self._desk, asked, caller.who)
        except Exception as error:
            known = isinstance(error, SyncError) and type(error) in STATUS
            self._record(command, caller, what, "refused" if known else "failed", error_sentence(error)[0])
            raise
        if not getattr(answer, "more", False):
            self._record(command, caller, what, "done", "")
        text = answer.model_dump_json()
        if len(text) > LONGEST_ANSWER:
            raise AnswerTooLarge(
                f"The answer has {len(text):,} bytes, more than can be sent.",
                "What a run did lies in the data bucket too, under reports/; narrow any other question.",
            )
        return text

    def _note(self, command: Command, caller: Caller, what: dict[str, Any], asked: Asked) -> None:
        """The log has it before anything is done: the trail's own line needs the target, which may be away."""
        if command.changes and not asked.goes_on:
            logger.info("audit", extra={"outcome": "asked", "command": command.name, "what": what, **vars(caller)})

    def _record(self, command: Command, caller: Caller, what: dict[str, Any], outcome: Result, said: str) -> None:
        """In the log and in the target; what was done is not undone because its record cannot be written."""
        if not command.changes:
            return
        code = said.partition(":")[0]
        logger.info("audit", extra={"outcome": outcome, "command": command.name, "code": code, **vars(caller)})
        try:
            record(self._desk, caller, command.name, what, outcome, code)
        except Exception as error:  # noqa: BLE001 - such as a target that is away, or is being installed
            logger.error("not in the audit trail", extra={"error": error_sentence(error)[0], **vars(caller)})


def _caller(event: dict[str, Any]) -> Caller:
    """Who asks, as API Gateway has found; RequestForbidden where it has not looked, whatever let the request pass."""
    context = event.get("requestContext") or {}
    identity = context.get("identity") or {}
    if not identity.get("userArn"):
        raise RequestForbidden("Nobody has said who asks this.", "Sign the request with AWS credentials.")
    return Caller(str(identity["userArn"]), str(identity.get("sourceIp", "")), request_id(event))
