"""Spoil a synced target in known ways, let the engine check it, and compare what it names with what was done."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import psycopg

from hybrid_sync.schema.plans import compile_entity
from tests.drill.corruptions import Corruption, Injected, Row, Victims
from tests.engine.worlds import EngineWorld, run

_EQUAL_SHARE = 0.1
_ID_SHARE = 0.02


@dataclass
class Verdict:
    """`found` of the `injected` were named by entity, source, key and column; `false` were named and not injected."""

    injected: int = 0
    equal: int = 0
    found: int = 0
    false: int = 0
    left: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.found == self.injected and self.false == 0 and self.left == 0


def drill(world: EngineWorld, target_superuser: str, n: int, seed: int) -> Verdict:
    """`n` corruptions and a tenth as many equal changes; the world must have been synced once."""
    luck = random.Random(seed)
    with psycopg.connect(target_superuser, autocommit=True) as target:
        target.execute("set session_replication_role = replica")
        target.execute("set timezone = 'UTC'")
        known = _departures(target)
        done = _inject(world, target, luck, n)
        swapped = _swap_cached_ids(world, luck, max(2, int(n * _ID_SHARE)))
        run(world, f"drill-{seed}", profile="verify", trigger="drill")
        verdict = _judge(target, f"drill-{seed}", done, swapped, known)
        run(world, f"repair-{seed}", profile="verify", trigger="drill", repair=True)
        run(world, f"after-{seed}", profile="verify", trigger="drill")
        verdict.left = sum(1 for _ in _differences(target, f"after-{seed}"))
    return verdict


def _inject(world: EngineWorld, target: psycopg.Connection, luck: random.Random, n: int) -> list[Injected]:
    with world.connect_legacy() as legacy, world.connect_target() as worker:
        plans = {name: compile_entity(name, world.catalog, legacy, worker) for name in world.catalog.entities}
    victims = Victims(world.catalog, plans, target, luck)
    victims.gather()
    corruption = Corruption(victims)
    done: list[Injected] = []
    real = tries = 0
    while real < n:
        tries += 1
        assert tries < 50 * n, "the world is too small for so many corruptions"
        ways = corruption.equals if luck.random() < _EQUAL_SHARE else corruption.kinds
        injected = ways[luck.choice(list(ways))]()
        if injected is not None:
            done.append(injected)
            real += injected.finding != "none"
    return done


def _swap_cached_ids(world: EngineWorld, luck: random.Random, n: int) -> set[Row]:
    """Swap the ids of pairs of keys of one source in the cache; returns the rows whose entries are wrong."""
    ids = world.id_cache.ids
    by_source: dict[tuple[str, str, int], list[tuple[int, ...]]] = {}
    for entity, source, epoch, key in sorted(ids):
        by_source.setdefault((entity, source, epoch), []).append(key)
    places = sorted(place for place, keys in by_source.items() if len(keys) > 3)
    swapped: set[Row] = set()
    while len(swapped) < n:
        place = luck.choice(places)
        one, two = luck.sample(by_source[place], 2)
        if (*place[:2], one) in swapped or (*place[:2], two) in swapped:
            continue
        ids[*place, one], ids[*place, two] = ids[*place, two], ids[*place, one]
        swapped |= {(*place[:2], one), (*place[:2], two)}
    return swapped


def _judge(
    target: psycopg.Connection, run_id: str, done: list[Injected], swapped: set[Row], known: set[Row]
) -> Verdict:
    named = _differences(target, run_id)
    gone = _departures(target, run_id) - known
    wrong = {(e, s, tuple(k)) for e, s, k in target.execute("select entity, source, key from hybrid_sync.wrong_id")}
    verdict = Verdict(injected=len(swapped), equal=sum(i.finding == "none" for i in done))
    # A swapped entry of a row that the drill has deleted is no longer anybody's.
    lost = {i.row for i in done if i.finding == "missing"}
    verdict.injected -= len(swapped & lost - wrong)
    verdict.found = len(swapped & wrong)
    verdict.missed += [f"swapped id of {row} not named" for row in sorted(swapped - lost - wrong)]
    verdict.false = len(wrong - swapped)
    verdict.missed += [f"id of {row} was not swapped" for row in sorted(wrong - swapped)]
    for injected in done:
        if injected.finding == "none":
            continue
        verdict.injected += 1
        verdict.kinds[injected.kind] += 1
        if injected.finding == "gone":
            hit = injected.row in gone
        else:
            hit = named.get(injected.row) == (injected.finding, injected.columns)
        verdict.found += hit
        if not hit:
            verdict.missed.append(f"{injected} named as {named.get(injected.row)}")
    real = {i.row for i in done if i.finding != "none"}
    strangers = sorted((named.keys() | gone) - real)
    verdict.false += len(strangers)
    verdict.missed += [f"not injected: {row} {named.get(row, 'gone')}" for row in strangers]
    return verdict


def _differences(target: psycopg.Connection, run_id: str) -> dict[Row, tuple[str, frozenset[str]]]:
    rows = target.execute(
        "select entity, source, key, kind, columns from hybrid_sync.difference where run_id = %s", (run_id,)
    ).fetchall()
    return {(e, s, tuple(key)): (kind, frozenset(columns)) for e, s, key, kind, columns in rows}


def _departures(target: psycopg.Connection, run_id: str | None = None) -> set[Row]:
    rows = target.execute(
        "select entity, source, key from hybrid_sync.delete_candidate where run_id = %(run)s or %(run)s::text is null",
        {"run": run_id},
    ).fetchall()
    return {(entity, source, tuple(key)) for entity, source, key in rows}
