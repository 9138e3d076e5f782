"""`make drills`: exit status 0 only if every drill was named and recovered from, nothing is lost and nothing leaked."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from hybrid_sync_cli.emulator.refusals import unexpected
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.up import Builder
from tests.conftest import clear, new_home
from tests.drills import canaries
from tests.drills.disasters import DISASTERS
from tests.drills.ground import Ground, NotWell, ground
from tests.drills.mailbox import ADDRESSES
from tests.drills.play import Drill, Score, played
from tests.drills.troubles import DRILLS as TROUBLES
from tests.servers import versions
from tests.stack.world import fill

DRILLS = (*TROUBLES, *DISASTERS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(one.name for one in DRILLS)}; all unless given")
    parser.add_argument("--real-minutes", action="store_true", help="an outage of ten minutes lasts ten minutes")
    wishes = parser.parse_args()
    chosen = [one for one in DRILLS if not wishes.only or one.name in wishes.only]
    if unknown := set(wishes.only) - {one.name for one in DRILLS}:
        parser.error(f"There is no drill {', '.join(sorted(unknown))}.")
    with _stack() as stack:
        canaries.plant(stack)
        scores, found, refused = _play(stack, chosen, real_minutes=wishes.real_minutes)
    for what in [*found[:20], *refused[:20]]:
        print(what)
    recovered, lost = sum(score.good for score in scores), sum(len(score.lost) for score in scores)
    told = f"leaked={len(found)} refused={len(refused)}"
    print(f"DRILLS run={len(scores)} recovered={recovered} {told} lost={lost}")
    return 0 if recovered == len(scores) == len(chosen) and not (lost or found or refused) else 1


def _play(stack: Stack, chosen: Sequence[Drill], *, real_minutes: bool) -> tuple[list[Score], list[str], list[str]]:
    """The scores; where a cell's value was found outside of the databases; and what AWS has refused."""
    scores: list[Score] = []
    found: list[str] = []
    refused: list[str] = []
    with ground(stack, real_minutes=real_minutes) as prepared:
        if prepared.known_wrong:
            raise NotWell(f"Before any drill: {'; '.join(sorted(prepared.known_wrong)[:5])}.")
        for drill in chosen:
            if drill.ends_aws and scores:
                _look(prepared, found, refused)
            scores.append(played(prepared, drill))
            print(scores[-1].line, flush=True)
        _look(prepared, found, refused)
    return scores, found, refused


def _look(prepared: Ground, found: list[str], refused: list[str]) -> None:
    """At everything that the drills so far have left."""
    began = time.monotonic()
    scanned = canaries.scan(prepared)
    print(f"SCAN {scanned.line} seconds={time.monotonic() - began:.1f}")
    found += scanned.found
    refused += map(str, unexpected(Aws(Processes(home.directory())).refusals))


@contextmanager
def _stack() -> Iterator[Stack]:
    """One of its own, as strict as AWS, gone afterwards."""
    place = new_home("drills")
    with patch.dict(os.environ, {"HYBRID_SYNC_HOME": str(place / "stack")}):
        try:
            versions.ensure_npm()
            stack = Builder(UpOptions(strict=True, mail=ADDRESSES), lambda line: print(line, flush=True)).run()
            fill(stack)
            yield stack
        finally:
            clear(place)
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
