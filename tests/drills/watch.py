"""What an operator sees and hears while something is the matter, and how many seconds in."""

from __future__ import annotations

import html
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.services.views.model import Overview
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack
from tests.drills.mailbox import Mail, Mailbox

PAUSE = 0.5
_DISTURBED = (CliError, OSError, BotoCoreError, ClientError)
"""The way to the deployment is part of what is disturbed."""


@dataclass(frozen=True)
class Named:
    """What page and mail have to say of a trouble, cause and remedy each; patterns that have to be found."""

    cause: str
    remedy: str
    mail_cause: str = ""
    mail_remedy: str = ""

    def by_page(self, text: str) -> bool:
        return all(re.search(one, text, re.IGNORECASE) for one in (self.cause, self.remedy))

    def by_mail(self, mails: Iterable[Mail]) -> bool:
        """One mail says both."""
        wanted = (self.mail_cause or self.cause, self.mail_remedy or self.remedy)
        return any(all(re.search(one, mail.whole, re.IGNORECASE) for one in wanted) for mail in mails)


class Operator:
    """Looks at the overview, as data and as a page, with a token that may only look."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.look_at(stack, token)

    def look_at(self, stack: Stack, token: str) -> None:
        """From now on: a deployment that is another one, or knows no token of before."""
        self._deployment = Deployment.here(stack)
        self._page = f"{stack.api_url}/dashboard"
        self._token = token

    def overview(self) -> Overview:
        return self._deployment.ask("overview", {}, Overview, patient=True)

    def page(self, path: str = "") -> str:
        """What stands on a page of the dashboard, without its markup; on one that tells of a failure, too."""
        asked = urllib.request.Request(f"{self._page}{path}", headers={"Cookie": f"{COOKIE}={self._token}"})
        try:
            with urllib.request.urlopen(asked, timeout=40) as answer:
                shown = answer.read().decode()
        except urllib.error.HTTPError as failed:
            shown = failed.read().decode()
        text = re.sub(r"<[^>]*>", " ", shown)
        return " ".join(html.unescape(text).split())


def troubles(seen: Overview) -> set[str]:
    """What the overview says is the matter."""
    found = {f"{need.subject}: {re.sub(r'[0-9,]+', 'n', need.title)}" for need in seen.needs}
    found |= {
        f"waits: {why}" for run in seen.running for why in run.waiting_for if "held by" in why or "away since" in why
    }
    found |= {f"away: {one.name}" for one in seen.servers if not one.ok}
    return found | ({f"away: {seen.away}"} if seen.away else set())


@dataclass
class Watch(threading.Thread):
    """Looks until it is stopped; seconds count from the start of the trouble."""

    operator: Operator
    mailbox: Mailbox
    named: Named | None
    known: set[str]
    """What was the matter before."""
    noticed: float | None = None
    by_page: float | None = None
    by_mail: float | None = None
    first: str = ""
    """What it was noticed by."""
    text: str = ""
    """The page as it was last seen."""
    _began: float = field(default_factory=time.monotonic)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._heard = len(self.mailbox.look())

    __hash__ = threading.Thread.__hash__

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def mails(self) -> list[Mail]:
        """Those since the trouble began."""
        return self.mailbox.mails[self._heard :]

    @property
    def named_after(self) -> float | None:
        """Seconds until page and mail had both named cause and remedy."""
        return None if self.by_page is None or self.by_mail is None else max(self.by_page, self.by_mail)

    def run(self) -> None:
        while not self._over.wait(PAUSE):
            try:
                self._look()
            except _DISTURBED:
                continue

    def _look(self) -> None:
        self.mailbox.look()
        if self.by_mail is None and self.named and self.named.by_mail(self.mails):
            self.by_mail = self.seconds
        if self.noticed is None and (seen := self._seen()):
            self.noticed, self.first = self.seconds, seen
        if self.by_page is None:
            self.text = self.operator.page()
            if self.named and self.named.by_page(self.text):
                self.by_page = self.seconds

    def _seen(self) -> str:
        """The first thing that says that something is the matter; empty while nothing does."""
        urgent = (f"mail: {mail.subject}" for mail in self.mails if mail.urgent)
        return next(urgent, "") or min(troubles(self.operator.overview()) - self.known, default="")

    def stop(self) -> None:
        self._over.set()
        self.join()
