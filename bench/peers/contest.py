"""Rounds: in each, everybody does every phase once, in turn, beginning with another one than in the round before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.peers.ground import HERE, Ground
from bench.peers.measure import Measured, measured
from bench.peers.peer import Peer, Phase, Place
from bench.peers.tables import TABLES
from hybrid_sync_cli.errors import CliError

MOST_OTHERS = 0.10
"""Of all processors' time, by processes that are not ours: with more a round is void."""
MOST_VOID = 6
Figures = dict[tuple[str, Phase], Measured]


@dataclass
class Round:
    """One alternation; `void` where others were at work."""

    figures: Figures = field(default_factory=dict)

    @property
    def others(self) -> float:
        whole = sum(one.wall for one in self.figures.values())
        return sum(one.others * one.wall for one in self.figures.values()) / whole


def rounds(
    ground: Ground, peers: Sequence[Peer], count: int, place: Place, *, noisy: bool, say: Callable[[str], None]
) -> tuple[list[Round], int]:
    """So many that count, and how many were void; CliError where the machine does not become quiet."""
    kept: list[Round] = []
    void = 0
    while len(kept) < count:
        done = _round(ground, peers, len(kept), place, say)
        if noisy or done.others <= MOST_OTHERS:
            kept.append(done)
            continue
        void += 1
        say(f"void: other processes took {done.others:.0%} of the processors; once more")
        if void > MOST_VOID:
            raise CliError(
                f"{void} rounds were void: other processes work on this machine. End them, or measure with --noisy."
            )
    return kept, void


def _round(ground: Ground, peers: Sequence[Peer], number: int, like: Place, say: Callable[[str], None]) -> Round:
    done = Round()
    turn = number % len(peers)
    order = [*peers[turn:], *peers[:turn]]
    places: dict[str, Place] = {}
    legacy = ground.create_legacy("legacy")
    try:
        for peer in order:
            if not peer.beside:
                places[peer.name] = _place(ground, peer, legacy, like)
        for phase in Phase:
            if phase is Phase.delta and any(phase in peer.jobs for peer in peers):
                ground.run(legacy, (HERE / "delta.sql").read_text("utf-8"))
                ground.run(legacy, "analyze")
            for peer in order:
                if phase in peer.jobs:
                    at = places[peer.beside or peer.name]
                    ground.settle()
                    figure = measured(peer.jobs[phase](at), ground.cpu)
                    done.figures[peer.name, phase] = figure
                    say(f"{number + 1} {phase:6}{peer.label:34}{figure.wall:8.2f} s{figure.cpu:8.2f} s of CPU")
                    _require_all(ground, peer, phase, at)
                    if phase is Phase.first and len(peer.jobs) > 1:
                        ground.run(at.target, "vacuum analyze")
    finally:
        for name in ("legacy", *(peer.name for peer in peers)):
            ground.drop(name)
    return done


def _place(ground: Ground, peer: Peer, legacy: str, like: Place) -> Place:
    folder = ground.folder / "work" / peer.name
    ground.empty(folder)
    place = replace(like, legacy=legacy, target=ground.create_target(peer.name, peer.target()), folder=folder)
    peer.prepare(place)
    return place


def _require_all(ground: Ground, peer: Peer, phase: Phase, place: Place) -> None:
    """Every row of legacy is there; CliError where a contestant has left some out, whose time means nothing."""
    if peer.beside or phase not in (Phase.first, Phase.delta):
        return
    for table in TABLES:
        there = ground.count(place.legacy, table.name)
        arrived = ground.count(place.target, table.name, peer.schema) - peer.natives
        if there != arrived:
            raise CliError(
                f"{peer.label}: {arrived} of {there} rows of {table.name} arrived, so its time means nothing."
            )
