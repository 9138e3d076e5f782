"""On the way to a deployment each thing that may go wrong is one sentence; a throttle is waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hybrid_sync.services.messages.answers import Holds
from hybrid_sync.services.messages.holds import HoldsAsked
from hybrid_sync_cli.deployment import Deployment, TargetAway
from hybrid_sync_cli.deployment.deployment import ATTEMPTS
from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.errors import CliError
from tests.cli.conftest import Command
from tests.cli.gateway import Desk

# As API Gateway answers (its guide, "Gateway response types", worded by the template): status, error's name, body.
Canned = tuple[int, str, dict[str, Any]]
GOOD: Canned = (200, "", {"holds": []})
REFUSED: dict[str, tuple[Canned, str]] = {
    "denied": (
        (
            403,
            "AccessDeniedException",
            {"code": "access_denied", "detail": "What the request shows does not let it in."},
        ),
        "You may not call POST /ops/holds of the stack hybrid-sync (execute-api:Invoke)",
    ),
    "expired": (
        (
            403,
            "ExpiredTokenException",
            {"code": "session_expired", "detail": "The security token included in the request is expired"},
        ),
        "Your AWS session has expired: log in again, for instance with aws sso login.",
    ),
    "unknown key": (
        (
            403,
            "UnrecognizedClientException",
            {"code": "refused", "detail": "The security token included in the request is invalid."},
        ),
        "AWS does not know these credentials: check AWS_PROFILE",
    ),
    "a wrong clock": (
        (
            403,
            "InvalidSignatureException",
            {"code": "signature_invalid", "detail": "Signature expired: 20260101T000000Z is now"},
        ),
        "this machine's clock.",
    ),
    "an older deployment": (
        (404, "MissingAuthenticationTokenException", {"code": "not_found", "detail": "There is nothing here."}),
        "does not know the command holds: it is older than this hybrid-sync, deploy it again.",
    ),
    "too long": (
        (504, "", {"code": "timeout", "detail": "It took longer than a call may."}),
        "holds took longer than a call may: look with hybrid-sync status",
    ),
    "broken inside": (
        (502, "", {"code": "internal", "detail": "Something unexpected happened."}),
        "its reason is in the log of the function hybrid-sync-serve-ops.",
    ),
    "our own sentence": (
        (422, "", {"code": "request_rejected", "detail": "No.", "remedy": "Ask otherwise."}),
        "No. Ask otherwise.",
    ),
    "another version": ((200, "", {"holdings": []}), "it is of another version"),
}


@contextmanager
def answering(*answers: Canned) -> Iterator[tuple[Deployment, list[float]]]:
    """A deployment whose API gives these answers in turn, the last one for ever; and how long was waited."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, body = left.pop(0) if len(left) > 1 else left[0]
            content = json.dumps(body).encode()
            self.send_response(status)
            if kind:
                self.send_header("x-amzn-ErrorType", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    waited: list[float] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        known = {"ApiId": "abc", "ApiUrl": ""}
        try:
            yield Deployment(Location("hybrid-sync", "us-east-1", address, known=known), waited.append), waited
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("case", REFUSED)
def test_what_goes_wrong_is_one_sentence_with_its_remedy(case: str) -> None:
    canned, sentence = REFUSED[case]
    with answering(canned) as (deployment, waited), pytest.raises(CliError) as refused:
        deployment.ask("holds", HoldsAsked(), Holds)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert waited == []


def test_a_throttled_call_is_asked_again_later_and_later() -> None:
    throttled: Canned = (
        429,
        "TooManyRequestsException",
        {"code": "throttled", "detail": "The API is asked too often."},
    )
    with answering(throttled, throttled, GOOD) as (deployment, waited):
        assert deployment.ask("holds", HoldsAsked(), Holds).holds == ()
        assert len(waited) == 2
        assert 0 < waited[0] <= 0.5
        assert waited[0] < 2 * waited[1]
    with answering(throttled) as (deployment, waited), pytest.raises(CliError, match="asked too often: try again"):
        deployment.ask("holds", HoldsAsked(), Holds)
    assert len(waited) == ATTEMPTS - 1


def test_only_who_is_patient_waits_for_a_database_that_is_away() -> None:
    away: Canned = (503, "", {"code": "target_unavailable", "detail": "The target is away.", "remedy": "Wait."})
    with answering(away, GOOD) as (deployment, waited):
        with pytest.raises(TargetAway, match=r"The target is away\. Wait\."):
            deployment.ask("holds", HoldsAsked(), Holds)
        assert waited == []
        assert deployment.ask("holds", HoldsAsked(), Holds, patient=True).holds == ()


def test_an_api_that_is_not_there_is_one_sentence() -> None:
    location = Location("hybrid-sync", "us-east-1", "http://127.0.0.1:1", known={"ApiId": "abc", "ApiUrl": ""})
    with pytest.raises(CliError, match="does not answer: start it with hybrid-sync up"):
        Deployment(location).ask("holds", HoldsAsked(), Holds)


def test_a_target_that_is_away_is_the_deployments_own_sentence(desk: Desk, stack: object, hybrid_sync: Command) -> None:
    desk.target_dsn = "postgresql://nobody@127.0.0.1:1/x"

    said = hybrid_sync("holds")

    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "The target database does not let us in at 127.0.0.1:1/x. Check that the server runs" in said.err


@pytest.mark.parametrize("words", [("--region", "eu-central-1"), ("--profile", "p")])
def test_a_place_without_a_stack_is_refused(hybrid_sync: Command, words: tuple[str, ...]) -> None:
    assert "give --stack NAME, or HYBRID_SYNC_STACK." in hybrid_sync(*words, "status").err


@pytest.mark.parametrize("command", ["up", "down", "psql target", "sample", "mutate", "demo"])
def test_what_is_about_this_machine_is_not_done_for_a_stack(hybrid_sync: Command, command: str) -> None:
    said = hybrid_sync("--stack", "prod", *command.split())

    assert said.status == 1
    assert "is about the stack on this machine, not about prod: leave out --stack" in said.err


@pytest.mark.parametrize("command", ["status", "up"])
def test_a_stack_without_a_name_is_not_the_one_on_this_machine(hybrid_sync: Command, command: str) -> None:
    """As in `--stack "$NAME"`, where NAME is not set."""
    assert "--stack names no stack" in hybrid_sync("--stack", "", command).err


@pytest.mark.parametrize("endpoint", ["garbage", "http://", "ftp://127.0.0.1"])
def test_an_endpoint_that_is_no_address_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, hybrid_sync: Command, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    said = hybrid_sync("--stack", "prod", "--region", "eu-central-1", "status")
    assert said.status == 1
    assert said.err.startswith("hybrid-sync: AWS_ENDPOINT_URL is no address")


def test_a_networks_sign_in_page_is_one_sentence(monkeypatch: pytest.MonkeyPatch, hybrid_sync: Command) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome to our hotel</html>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    try:
        said = hybrid_sync("--stack", "prod", "--region", "eu-central-1", "status")
    finally:
        server.shutdown()
        server.server_close()
    assert said.status == 1
    assert "Something that is not AWS answered in its place: look for a proxy" in said.err
