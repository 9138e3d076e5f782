"""One drill: a trouble begins, somebody sees it, and all is well again; seconds of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hybrid_sync_cli.errors import CliError
from tests.drills.ground import PATIENCE, PAUSE, Ground, NotWell
from tests.drills.watch import Named, Watch

ITSELF, PERSON = "itself", "person"


@dataclass
class Night:
    """What a drill may use while its trouble lasts."""

    ground: Ground
    watch: Watch
    by: str = ITSELF

    def until_named(self, patience: float = PATIENCE) -> None:
        """Wait until page and mail have named cause and remedy; NotWell where they never do."""
        end = time.monotonic() + patience
        while self.watch.named is not None and self.watch.named_after is None:
            if time.monotonic() > end:
                raise NotWell(self._unnamed())
            time.sleep(PAUSE)

    def _unnamed(self) -> str:
        silent = [who for who, at in (("page", self.watch.by_page), ("mail", self.watch.by_mail)) if at is None]
        mails = " | ".join(mail.whole for mail in self.watch.mails) or "no mail"
        return f"The {' and the '.join(silent)} did not name it. Page: {self.watch.text}\nMail: {mails}"

    def go_on(self, run_id: str) -> None:
        """Wait for what becomes of the run, and of the attempts that follow by themselves; where none does, somebody
        starts the next one."""
        self.until_named()
        while self.ground.ended(run_id) not in ("succeeded", "degraded"):
            coming = self.ground.next_attempt(run_id)
            if coming is None:
                self.person().carry_at_last()
                return
            run_id = coming

    def person(self) -> Ground:
        """From here on somebody does what page and mail have said."""
        self.by = PERSON
        return self.ground


Play = Callable[[Night], None]


@dataclass(frozen=True)
class Drill:
    """`begins` makes the trouble and returns when it is over, or healed by whoever had to."""

    name: str
    play: Play
    named: Named | None = None
    """What page and mail have to say; nothing of a trouble that is over with the next run."""
    ends_aws: bool = False
    """What all drills before have left in AWS is gone afterwards: whoever wants to see it looks before."""


@dataclass
class Score:
    """How a drill went; seconds since its trouble began."""

    name: str
    notice: float | None = None
    naming: float | None = None
    recovery: float | None = None
    first: str = ""
    """What it was noticed by."""
    by: str = ITSELF
    lost: list[str] = field(default_factory=list)
    why: str = ""
    """It is not over, or was not named."""
    untold: bool = False
    """Nobody had to name it."""

    @property
    def good(self) -> bool:
        return not self.why and not self.lost and self.recovery is not None

    @property
    def line(self) -> str:
        notice, naming = ("-" if self.untold and at is None else _s(at) for at in (self.notice, self.naming))
        said = f"DRILL {self.name} noticed={notice} named={naming} recovered={_s(self.recovery)}"
        return f"{said} by={self.by} lost={len(self.lost)} ({self.first}){f' WHY: {self.why}' if self.why else ''}"


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f}s"


def played(ground: Ground, drill: Drill) -> Score:
    """From a stack in good order to a stack in good order."""
    score = Score(drill.name, untold=drill.named is None)
    with _watched(ground, drill) as night:
        try:
            drill.play(night)
            night.until_named()
            _recover(night)
            score.recovery = night.watch.seconds
        except (NotWell, CliError) as error:
            score.why = str(error)
    watch = night.watch
    score.notice, score.naming, score.first, score.by = watch.noticed, watch.named_after, watch.first, night.by
    score.lost = ground.wrong()
    if score.lost and not score.why:
        score.why = "; ".join(score.lost[:5])
    return score


@contextmanager
def _watched(ground: Ground, drill: Drill) -> Iterator[Night]:
    watch = Watch(ground.operator, ground.mailbox, drill.named, ground.known)
    watch.start()
    try:
        yield Night(ground, watch)
    finally:
        watch.stop()


def _recover(night: Night) -> None:
    """Wait until the target is as legacy has it and the page says nothing of it any more."""
    end = time.monotonic() + PATIENCE
    while True:
        left = sorted(night.ground.calm()) or night.ground.wrong()
        if not left:
            return
        if time.monotonic() > end:
            raise NotWell(f"It is not over: {'; '.join(left[:5])}.")
        time.sleep(PAUSE)
