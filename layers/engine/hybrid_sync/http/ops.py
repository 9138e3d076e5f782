"""`POST /ops/{command}`: IAM has let the caller in by the path; the command is served, and changes are recorded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hybrid_sync.entrypoint import parsed
from hybrid_sync.errors import RequestForbidden
from hybrid_sync.http.act import Act
from hybrid_sync.http.answers import Response, read, refused, request_id, response
from hybrid_sync.http.problems import AnswerTooLarge
from hybrid_sync.services.audit import Caller
from hybrid_sync.services.commands import COMMANDS
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
        with Act(self._desk, caller, command.name, changes=command.changes) as act:
            asked: Asked = parsed(command.asks, read(event))
            act.asked(asked.model_dump(mode="json", exclude_defaults=True), goes_on=asked.goes_on)
            answer = command.serve(self._desk, asked, caller.who)
            act.answered(answer)
        text = answer.model_dump_json()
        if len(text) > LONGEST_ANSWER:
            raise AnswerTooLarge(
                f"The answer has {len(text):,} bytes, more than can be sent.",
                "What a run did lies in the data bucket too, under reports/; narrow any other question.",
            )
        return text


def _caller(event: dict[str, Any]) -> Caller:
    """The caller as API Gateway has found it; RequestForbidden where it has not, whatever let the request pass."""
    context = event.get("requestContext") or {}
    identity = context.get("identity") or {}
    if not identity.get("userArn"):
        raise RequestForbidden("Nobody has said who asks this.", "Sign the request with AWS credentials.")
    return Caller(str(identity["userArn"]), str(identity.get("sourceIp", "")), request_id(event))
