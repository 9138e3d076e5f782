"""A real browser, driven over its DevTools pipe: two file descriptors, no port, no library."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
PATIENCE = 60.0
"""Seconds that one answer may take; a machine under load is slow, a dead browser silent."""

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-pipe",
)  # fmt: skip


class BrowserError(Exception):
    """The browser refused a command, or went away."""


def find() -> str | None:
    """$CHROMIUM, else the first Chrome or Chromium on PATH or among the applications; None without any."""
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else [*NAMES, *APPLICATIONS]
    return next((found for name in candidates if (found := shutil.which(name))), None)


@dataclass
class Browser:
    """One headless browser; commands go out as JSON that ends with a zero byte, and so do answers come back."""

    process: subprocess.Popen[bytes]
    writer: int
    reader: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    events: list[dict[str, Any]] = field(default_factory=list)
    pending: bytes = b""

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that arrive meanwhile are kept."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self.events.append(answer)

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """The next event of that name, whether it has arrived already or comes yet."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for place, event in enumerate(self.events):
                if event.get("method") == method and event.get("sessionId") == session:
                    return dict(self.events.pop(place)["params"])
            self.events.append(self._next(deadline))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.reader], [], [], max(deadline - time.monotonic(), 0))
            read = os.read(self.reader, 1 << 20) if ready else b""
            if not read:
                raise BrowserError("The browser does not answer." if not ready else "The browser has gone away.")
            self.pending += read
        message, _, self.pending = self.pending.partition(b"\0")
        return dict(json.loads(message))


@dataclass
class Page:
    """One tab."""

    browser: Browser
    session: str

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def open(self, url: str, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Load the page in a window of that size; returns when it is loaded and its fonts are there."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Without motion, what is measured right after a jump is where it ends.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.do("Emulation.setEmulatedMedia", features=[scheme, still])
        self.browser.events.clear()
        if error := self.do("Page.navigate", url=url).get("errorText"):
            raise BrowserError(f"{url}: {error}")
        self.browser.wait("Page.loadEventFired", self.session)
        self.js("document.fonts.ready.then(() => true)")

    def js(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str, code: int, *, shift: bool = False) -> None:
        """One key, as a person types it."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        self.do("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.do("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, height: int | None = None) -> bytes:
        """What the window shows as PNG, or the first `height` pixels of the page."""
        beyond: dict[str, Any] = {}
        if height is not None:
            width = self.js("window.innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            beyond = {"captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(self.do("Page.captureScreenshot", format="png", **beyond)["data"])

    def complaints(self) -> list[str]:
        """What the console shows since the page was opened: errors, warnings, refused resources."""
        self.js("1")  # events of the page come before the answer to a later command
        found: list[str] = []
        for event in self.browser.events:
            if event.get("method") == "Log.entryAdded":
                found.append(event["params"]["entry"]["text"])
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]["text"]))
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(str(event["params"]["args"]))
        return found

    def requested(self) -> list[str]:
        """Every address that the page asked for since it was opened."""
        self.js("1")
        sent = [e for e in self.browser.events if e.get("method") == "Network.requestWillBeSent"]
        return [str(event["params"]["request"]["url"]) for event in sent]


@contextmanager
def browsing(executable: str, profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, gone with everything it started when the block ends."""
    browser = _start([executable, *_FLAGS, f"--user-data-dir={profile}", "about:blank"])
    try:
        yield browser
    finally:
        os.killpg(browser.process.pid, signal.SIGKILL)
        browser.process.wait()
        os.close(browser.writer)
        os.close(browser.reader)


def _start(command: Sequence[str]) -> Browser:
    their_input, writer = os.pipe()
    reader, their_output = os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4; copies above them cannot be overwritten.
    high_input, high_output = (os.dup2(fd, place) for fd, place in ((their_input, 93), (their_output, 94)))

    def arrange() -> None:
        os.dup2(high_input, 3)
        os.dup2(high_output, 4)

    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(3, 4), preexec_fn=arrange, start_new_session=True,
    )  # fmt: skip
    for fd in (their_input, their_output, high_input, high_output):
        os.close(fd)
    return Browser(process, writer, reader)


def new_page(browser: Browser) -> Page:
    """A tab that reports its console, its failures and its requests."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    page = Page(browser, session)
    for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
        page.do(f"{domain}.enable")
    # Behaves as the window in front: a tab in the background draws no focus.
    page.do("Emulation.setFocusEmulationEnabled", enabled=True)
    return page
