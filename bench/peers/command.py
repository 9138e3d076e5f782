"""`python -m bench peers`: everybody over the same data in alternation, then medians and ratios."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median

from bench.peers import catalog
from bench.peers.contest import Round, rounds
from bench.peers.copy_peer import COPY, LATE
from bench.peers.engine_peer import ENGINE, LIVE
from bench.peers.fdw_peer import FDW
from bench.peers.ground import ground
from bench.peers.measure import Measured
from bench.peers.peer import Peer, Phase, Place
from bench.peers.prototype_peer import PROTOTYPE
from bench.peers.tools import SLING, dlt
from bench.peers.yardsticks import MD5, SCAN
from hybrid_sync_cli.errors import CliError

PEERS = (COPY, ENGINE, LIVE, FDW, SLING, dlt("connectorx"), PROTOTYPE, LATE, SCAN, MD5)


def options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("of peers")
    group.add_argument("--only", default="", help="of these, by name and with commas (default: all that can run here)")
    group.add_argument("--scale", type=float, default=1.0, help="1 is 496,162 rows over twelve tables (default)")
    group.add_argument("--noisy", action="store_true", help="count rounds beside which other processes were at work")
    group.add_argument("--workers", type=int, default=2, help="of the engine (default: 2)")
    group.add_argument("--batch-size", type=int, default=None, help="of the engine (default: its own)")


def command(asked: argparse.Namespace) -> int:
    """Print a table of the medians."""
    peers = _chosen(asked.only)
    with ground(asked.scale) as made:
        place = Place("", "", made.folder, made.folder / "catalog", asked.workers, asked.batch_size)
        catalog.write(place.catalog)
        done, void = rounds(
            made, peers, asked.rounds, place, noisy=asked.noisy, say=lambda line: print(line, flush=True)
        )
    _show(peers, done)
    _explain(done[-1])
    print(f"{len(done)} rounds, {void} void; others used {median(one.others for one in done):.0%} of the processors")
    return 0


def _chosen(names: str) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    wanted = [name for name in names.split(",") if name] or list(known)
    if unknown := set(wanted) - set(known):
        raise CliError(f"There is no {', '.join(sorted(unknown))} among {', '.join(known)}.")
    return [known[name] for name in wanted]


def _show(peers: Sequence[Peer], done: Sequence[Round]) -> None:
    print(f"\n{'median':42}{'wall s':>8}{'CPU s':>8}{'client':>8}{'legacy':>8}{'target':>8}{'peak MB':>9}")
    for phase in Phase:
        for peer in peers:
            if phase in peer.jobs:
                figures = [one.figures[peer.name, phase] for one in done]
                print(f"{phase:7}{peer.label:35}" + "".join(f"{value:8.2f}" for value in _medians(figures)))


def _explain(last: Round) -> None:
    """What the engine's workers did in the last round: seconds by function, and pages of the id map."""
    for (name, phase), figure in last.figures.items():
        if "seconds" in figure.told:
            seconds = ", ".join(f"{step} {taken:.2f}" for step, taken in figure.told["seconds"].items())
            pages = f"{figure.told['pages_read']} pages read, {figure.told['pages_written']} written"
            print(f"{name} {phase}: {seconds}; {pages}")


def _medians(figures: Sequence[Measured]) -> list[float]:
    columns = [(one.wall, one.cpu, one.client, one.legacy, one.target, one.peak) for one in figures]
    return [median(column) for column in zip(*columns, strict=True)]
