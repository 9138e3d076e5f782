"""`python -m bench peers`: everybody over the same data in alternation, then medians and ratios."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers import catalog, results, words
from bench.peers.contest import rounds
from bench.peers.copy_peer import COPY, LATE
from bench.peers.engine_peer import ENGINE, LIVE
from bench.peers.fdw_peer import FDW
from bench.peers.ground import Ground, ground
from bench.peers.long.parts import PARTS
from bench.peers.long.patience import Patience, per_row
from bench.peers.peer import Peer, Place
from bench.peers.prototype_peer import PROTOTYPE
from bench.peers.tables import ROWS
from bench.peers.tools import SLING, dlt
from bench.peers.yardsticks import MD5, SCAN
from hybrid_sync_cli.errors import CliError

PEERS = (COPY, ENGINE, LIVE, FDW, SLING, dlt("connectorx"), PROTOTYPE, LATE, SCAN, MD5)

DLTS = (dlt("pyarrow", "dlt_pyarrow"), dlt("sqlalchemy", "dlt_sqlalchemy"))
"""Its other readers: `best` is the best of those that took part."""


def options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("of peers")
    group.add_argument("--only", default="", help="of these, by name and with commas (default: all that can run here)")
    group.add_argument("--scale", type=float, default=1.0, help="1 is 496,162 rows over twelve tables (default)")
    group.add_argument("--noisy", action="store_true", help="count rounds beside which other processes were at work")
    group.add_argument("--profile", action="store_true", help="print where the engine's Python spends its time")
    group.add_argument("--long", action="store_true", help="all parts that take longer besides")
    group.add_argument("--parts", default="", help=f"only these of them, with commas: {', '.join(PARTS)}")
    group.add_argument("--alone", action="store_true", help="these parts alone, beside what bench/results.json says")
    group.add_argument("--minutes", type=float, default=10.0, help="for each of these parts at most (default: 10)")
    group.add_argument("--workers", type=int, default=2, help="of the engine (default: 2)")
    group.add_argument("--batch-size", type=int, default=None, help="of the engine (default: its own)")


def command(asked: argparse.Namespace) -> int:
    """Print medians and ratios; where everybody took part, at full scale, write them down and quote them."""
    began = time.monotonic()
    wanted = _parts(asked)
    usual = asked.workers == 2 and asked.batch_size is None and not asked.profile
    if asked.alone:
        return _alone(asked, wanted, usual=usual)
    chosen = _chosen(asked.only, PEERS + DLTS if asked.long else PEERS)
    missing = {peer.name: reason for peer in chosen if (reason := peer.missing())}
    peers = [peer for peer in chosen if peer.name not in missing]
    for name, reason in missing.items():
        _say(f"without {name}: {reason}")
    whole = usual and not asked.only and asked.scale == 1
    with ground(asked.scale) as made:
        place = _place(asked, made)
        done, void = rounds(made, peers, asked.rounds, place, noisy=asked.noisy, say=_say)
        found = results.made(peers, missing, done, rows=round(ROWS * asked.scale), void=void, noisy=asked.noisy)
        extra = long_form(wanted, made, place, asked)
    found = results.judged(found, results.read() if whole else {}, extra)
    for line in words.for_terminal(found):
        print(line)
    if whole:
        results.write(found)
        words.write_pages(found)
    took = round(time.monotonic() - began)
    print("RESULT", json.dumps({"seconds": took, "ratios": found["ratios"], "written": whole}))
    return 0


def _alone(asked: argparse.Namespace, wanted: Sequence[str], *, usual: bool) -> int:
    """Parts without the contest: where they were measured whole, their ratios are written down and quoted."""
    began = time.monotonic()
    with ground(asked.scale) as made:
        extra = long_form(wanted, made, _place(asked, made), asked)
    written_down(extra, began, whole=usual and asked.scale == 1 and bool(extra), noisy=asked.noisy)
    return 0


def written_down(extra: Mapping[str, Any], began: float, *, whole: bool, noisy: bool) -> None:
    """What was measured beside the contest: told, and where it is `whole`, in results.json and quoted."""
    found = results.amended(results.read(), extra, noisy=noisy)
    if whole:
        results.write(found)
        words.write_pages(found)
    measured = {key: found["ratios"][key] for key in extra if key in found["ratios"]}
    print("RESULT", json.dumps({"seconds": round(time.monotonic() - began), "ratios": measured, "written": whole}))


def _parts(asked: argparse.Namespace) -> list[str]:
    wanted = [name for name in asked.parts.split(",") if name] or (list(PARTS) if asked.long else [])
    if unknown := set(wanted) - set(PARTS):
        raise CliError(f"There is no part {', '.join(sorted(unknown))} among {', '.join(PARTS)}.")
    if asked.alone and not wanted:
        raise CliError("--alone measures parts: name them with --parts, or ask for all with --long.")
    return wanted


def _place(asked: argparse.Namespace, made: Ground) -> Place:
    """What everybody's places are like."""
    place = Place("", "", made.folder, made.folder / "catalog", asked.workers, asked.batch_size, asked.profile)
    catalog.write(place.catalog)
    return place


def long_form(wanted: Sequence[str], made: Ground, place: Place, asked: argparse.Namespace) -> dict[str, Any]:
    """What these parts have measured; one that breaks costs itself, and is said."""
    extra: dict[str, Any] = {}
    pace = per_row(results.read())
    for name in wanted:
        try:
            told = PARTS[name](made, place, asked.rounds, Patience(60 * asked.minutes, pace, _say))
        except CliError as error:
            _say(f"{name} was not measured: {error}")
            continue
        peaks = [*extra.get("peaks_mb", ()), *told.get("peaks_mb", ())]
        extra |= {**told, "peaks_mb": peaks}
    return extra


def report() -> int:
    """Quote what bench/results.json says, once more."""
    words.write_pages(results.read())
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _chosen(names: str, among: Sequence[Peer]) -> list[Peer]:
    known = {peer.name: peer for peer in among}
    wanted = [name for name in names.split(",") if name] or list(known)
    if unknown := set(wanted) - set(known):
        raise CliError(f"There is no {', '.join(sorted(unknown))} among {', '.join(known)}.")
    return [known[name] for name in wanted]
