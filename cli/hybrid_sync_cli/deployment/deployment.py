"""Ask a deployment: one signed request for each command, and one sentence for each way in which it may fail."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import BotoCoreError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from pydantic import BaseModel, ValidationError

from hybrid_sync_cli.deployment.location import Location, expired, unknown_credentials
from hybrid_sync_cli.deployment.outputs import api_url, outputs
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

M = TypeVar("M", bound=BaseModel)
ANSWER_SECONDS = 35
"""API Gateway ends a call after 29."""
GATEWAYS = frozenset(
    [
        "unauthorized",
        "access_denied",
        "not_found",
        "signature_invalid",
        "session_expired",
        "throttled",
        "timeout",
        "refused",
        "internal",
    ]
)
"""Codes of problems that are API Gateway's own, as the template words them: its sentences know nothing of commands."""
ATTEMPTS = 7
"""Of a call that is throttled, or whose database is busy: half a second first, then twice as long each time."""
_NEVER_SENT = (EndpointConnectionError, ConnectTimeoutError)


class TargetAway(CliError):
    """The deployment answers, and its target does not."""


class Deployment:
    """One deployment; `sleep` waits between attempts."""

    def __init__(self, location: Location, sleep: Callable[[float], None] = time.sleep) -> None:
        self.location = location
        self._sleep = sleep
        self._http = URLLib3Session(timeout=(5, ANSWER_SECONDS))

    @classmethod
    def chosen(cls) -> Deployment:
        """What the command line says."""
        return cls(Location.chosen())

    @classmethod
    def here(cls, stack: Stack) -> Deployment:
        """The stack on this machine."""
        return cls(Location.here(stack))

    @property
    def outputs(self) -> dict[str, str]:
        """Names of the deployment's parts."""
        return outputs(self.location)

    @property
    def url(self) -> str:
        """The address under which the deployment's API listens."""
        return api_url(self.location, self.outputs)

    def ask(self, command: str, asked: BaseModel | Mapping[str, Any], answer: type[M], *, patient: bool = False) -> M:
        """What the command answers; `patient` asks again while a database is busy or away.

        CliError with the deployment's own sentence, or with what to do about the way to it.
        """
        body = asked.model_dump_json() if isinstance(asked, BaseModel) else json.dumps(asked)
        for attempt in range(ATTEMPTS):
            status, kind, said = self._found(command, body.encode())
            if status is HTTPStatus.OK:
                return self._meant(said, answer)
            again = status is HTTPStatus.TOO_MANY_REQUESTS or (patient and status is HTTPStatus.SERVICE_UNAVAILABLE)
            if not again or attempt == ATTEMPTS - 1:
                break
            self._sleep(2**attempt * random.uniform(0.25, 0.5))  # nosec B311 - so that callers spread
        raise self._refused(command, status, kind, said)

    def _found(self, command: str, body: bytes) -> tuple[HTTPStatus, str, dict[str, Any]]:
        """The answer; where a deployment of yesterday's address seems gone, it is looked up once more."""
        url = self.url
        found = self._send(url, command, body)
        if found[0] in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) and not _ours(found[2]):
            now = api_url(self.location, outputs(self.location, fresh=True))
            if now != url:
                return self._send(now, command, body)
        return found

    def _send(self, url: str, command: str, body: bytes) -> tuple[HTTPStatus, str, dict[str, Any]]:
        """Status, AWS's name of an error, and the body as JSON."""
        try:
            response = self._http.send(self._signed(f"{url}/ops/{command}", body))
        except _NEVER_SENT:
            raise CliError(self._silent("does not answer")) from None
        except ReadTimeoutError:
            raise CliError(
                f"{command} was not answered within {ANSWER_SECONDS} seconds: look with hybrid-sync status whether it"
                " was done, then try again."
            ) from None
        except BotoCoreError as error:
            raise CliError(self._silent(f"broke off ({type(error).__name__})")) from None
        try:
            said = json.loads(response.content or b"{}")
        except ValueError:
            said = {}
        kind = str(response.headers.get("x-amzn-errortype", ""))
        return HTTPStatus(response.status_code), kind, said if isinstance(said, dict) else {}

    def _signed(self, url: str, body: bytes) -> AWSPreparedRequest:
        request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
        SigV4Auth(self.location.credentials(), "execute-api", self.location.region).add_auth(request)
        return request.prepare()

    def _silent(self, how: str) -> str:
        remedy = "start it with hybrid-sync up" if self.location.is_local else "check your connection and --region"
        return f"The API of the stack {self.location.stack} {how}: {remedy}."

    @staticmethod
    def _meant(said: dict[str, Any], answer: type[M]) -> M:
        try:
            return answer.model_validate(said)
        except ValidationError:
            raise CliError(
                "The deployment answers in another shape: it is of another version, use the hybrid-sync that deployed"
                " it, or deploy again."
            ) from None

    def _refused(self, command: str, status: HTTPStatus, kind: str, said: dict[str, Any]) -> CliError:
        """Our own sentence where the answer is ours, else what API Gateway means."""
        if _ours(said):
            sentence = f"{said.get('detail', '')} {said.get('remedy', '')}".strip()
            return (TargetAway if said["code"] == "target_unavailable" else CliError)(sentence)
        if status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return self._forbidden(command, kind, str(said.get("detail", "")))
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            return CliError("The deployment's API is asked too often: try again in a minute.")
        if status is HTTPStatus.GATEWAY_TIMEOUT:
            return CliError(f"{command} took longer than a call may: look with hybrid-sync status, then try again.")
        return CliError(
            f"{command} failed inside the deployment (HTTP {int(status)}): its reason is in the log of the function"
            f" {self.location.stack}-serve-ops."
        )

    def _forbidden(self, command: str, kind: str, text: str) -> CliError:
        """Why API Gateway lets nobody pass: an error's name is all that it tells."""
        if "Expired" in kind or "is expired" in text:
            return expired(self.location.profile)
        if "AccessDenied" in kind:
            return CliError(
                f"You may not call POST /ops/{command} of the stack {self.location.stack} (execute-api:Invoke): ask its"
                f" admin for a policy that lists this path, such as those in policies/."
            )
        if "MissingAuthenticationToken" in kind:
            return CliError(
                f"The stack {self.location.stack} does not know the command {command}: it is older than this"
                " hybrid-sync, deploy it again."
            )
        return unknown_credentials()


def _ours(said: Mapping[str, Any]) -> bool:
    """Whether a function of the deployment has answered."""
    return "code" in said and said["code"] not in GATEWAYS
