"""The example of docs/fallback.md: reads where rows are right, for as long as it was told, whoever is away."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

EXAMPLE = Path("docs/examples/read_with_fallback.py")
VOUCHED = {"serve": "target", "why": [], "ttl_seconds": 60}


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("read_with_fallback", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its own module up
    spec.loader.exec_module(module)
    return module


example = loaded()


class Api:
    """hybrid-sync, as a test has it answer."""

    def __init__(self) -> None:
        self.said: dict[str, Any] | None = VOUCHED
        self.asked: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(f"{self.path} {self.headers['Authorization']}")
                self.send_response(503 if api.said is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(api.said).encode())

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/live"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[Api]:
    serving = Api()
    yield serving
    serving.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(api: Api, clock: Clock) -> Any:
    return example.Router(api.url, "hs_x", 3_600, clock)


def read(router: Any, target: Any = lambda: "from the target") -> str:
    return str(example.read(router, "orders", target, lambda: "from legacy"))


def away() -> str:
    raise ConnectionRefusedError


def test_an_answer_counts_for_as_long_as_it_says_and_is_asked_for_once(api: Api, router: Any, clock: Clock) -> None:
    assert [read(router) for _ in range(3)] == ["from the target"] * 3
    assert api.asked == ["/live/v1/entities/orders/route?max_age_seconds=3600 Bearer hs_x"]
    api.said = {"serve": "legacy", "why": ["held"], "ttl_seconds": 30}
    clock.now += 59
    assert read(router) == "from the target"
    clock.now += 1
    assert read(router) == "from legacy"
    assert router.route("orders").why == ("held",)


def test_while_the_api_is_away_what_it_said_counts_to_its_end_and_then_legacy_is_read(
    api: Api, router: Any, clock: Clock
) -> None:
    assert read(router) == "from the target"
    api.said = None
    clock.now += 59
    assert read(router) == "from the target"
    clock.now += 1
    assert [read(router) for _ in range(3)] == ["from legacy"] * 3
    assert len(api.asked) == 2  # and no reader waits for it each time
    api.said = VOUCHED
    clock.now += example.ASKS_AGAIN_AFTER
    assert read(router) == "from the target"


@pytest.mark.parametrize("said", [[], {}, {"serve": "target"}, {**VOUCHED, "ttl_seconds": "soon"}])
def test_an_answer_that_is_none_means_legacy(api: Api, router: Any, said: Any) -> None:
    api.said = said
    assert read(router) == "from legacy"


def test_an_api_that_nobody_reaches_means_legacy(clock: Clock) -> None:
    assert read(example.Router("http://127.0.0.1:1", "hs_x", None, clock)) == "from legacy"


def test_a_target_that_fails_a_reader_is_answered_for_by_legacy_and_let_be_for_a_while(
    api: Api, router: Any, clock: Clock
) -> None:
    assert read(router, away) == "from legacy"
    assert read(router) == "from legacy"
    assert len(api.asked) == 1
    clock.now += example.ASKS_AGAIN_AFTER
    assert read(router) == "from the target"


def test_nobody_is_given_rows_of_the_target_because_legacy_is_away(api: Api, router: Any) -> None:
    api.said = {"serve": "legacy", "why": ["stale"], "ttl_seconds": 30, "legacy_away": True}
    with pytest.raises(ConnectionRefusedError):
        example.read(router, "orders", lambda: "from the target", away)
