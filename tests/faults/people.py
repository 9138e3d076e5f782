"""People are erased on a bad day: by runs that crash, come twice and meet the others; nobody comes back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psycopg

from hybrid_sync.contracts import Profile, Ref, RunRequest
from hybrid_sync.erase.hashes import Hashes
from tests.faults.cloud import Store
from tests.faults.expected import Key, LegacyRow, Source, TargetRow
from tests.faults.owners import SECRET

A_DAY = 3
"""People who are erased on each day, as far as there are so many."""
_ATTEMPTS = 3
_TABLES = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'hybrid_sync')"
_CANARY = re.compile(r"canary-(-?\d+)-")
_OUTSIDE = ("manifest", "message", "report", "erasure")


class People:
    """Who was asked to be erased, and who is for certain; what that makes of both sides' rows."""

    def __init__(
        self, legacy: str, target: str, store: Store, luck: random.Random, authors: Mapping[int, set[int]]
    ) -> None:  # fmt: skip
        self._legacy_dsn = legacy
        self._target = psycopg.connect(target, autocommit=True)
        self._store = store
        self._luck = luck
        self._authors = authors
        """Whoever may have written a message, by its key."""
        self._hashes = Hashes(SECRET)
        self._asked: set[int] = set()
        self.erased: set[int] = set()

    def close(self) -> None:
        self._target.close()

    # --- erasing ---------------------------------------------------------------------------------------------------

    def choose(self, run_id: str) -> RunRequest | None:
        """Some whom legacy has committed, as an event names them."""
        with psycopg.connect(self._legacy_dsn, autocommit=True) as legacy:
            there = [key for (key,) in legacy.execute("select id from person where id < 900000 order by id")]
        left = [key for key in there if key not in self.erased | self._asked]
        chosen = self._luck.sample(left, min(A_DAY, len(left)))
        self._asked |= set(chosen)
        return self._request(run_id, chosen)

    def finish(self, run: Callable[[RunRequest], None], next_id: Callable[[], str]) -> list[str]:
        """Ask again for whoever is not erased yet, by runs that nothing disturbs; what does not work even then."""
        for _ in range(_ATTEMPTS):
            self._settle()
            request = self._request(next_id(), sorted(self._asked))
            if request is None:
                return []
            run(request)
        self._settle()
        left, self._asked = self._asked, set()
        return [f"people {key} could not be erased" for key in sorted(left)]

    def _request(self, run_id: str, keys: list[int]) -> RunRequest | None:
        refs = tuple(Ref(entity="people", legacy_id=key) for key in keys)
        request = RunRequest(run_id=run_id, profile=Profile.on_demand, act="erase", refs=refs, requested_by="webhook:x")
        return request if refs else None

    def _settle(self) -> None:
        """Who is on the list is erased; who is on no side any more, and never was erased, is forgotten."""
        done = {key for (key,) in self._listed(("people", "person"), {(key,) for key in self._asked})}
        self.erased |= done
        with psycopg.connect(self._legacy_dsn, autocommit=True) as legacy:
            there = {key for (key,) in legacy.execute("select id from person where id = any(%s)", ([*self._asked],))}
        there |= {
            key for (key,) in self._target.execute(
                "select legacy_person_id from people where legacy_person_id = any(%s)", ([*self._asked],)
            )
        }  # fmt: skip
        self._asked = (self._asked & there) - done

    def _listed(self, place: tuple[str, str], keys: set[Key]) -> set[Key]:
        rows = self._target.execute(
            "select hash from hybrid_sync.suppressed where entity = %s and source = %s", place
        ).fetchall()
        known = self._hashes.of(place, keys)
        return {known[bytes(digest)] for (digest,) in rows if bytes(digest) in known}

    # --- what it means ---------------------------------------------------------------------------------------------

    def seen(self, source: Source, rows: dict[Key, LegacyRow]) -> dict[Key, LegacyRow]:
        """Legacy's rows as the target is to have them: pseudonyms of people, none of their messages."""
        if source.entity == "people":
            return {key: self._pseudonymised(key, row) if key[0] in self.erased else row for key, row in rows.items()}
        if source.entity == "messages":
            gone = self.silenced(source, set(rows))
            gone |= {key for key, row in rows.items() if row.parents["author_id"] in self.erased}
            return {
                key: replace(row, excluded=True, refused=False) if key in gone else row for key, row in rows.items()
            }
        return rows

    def wrote(self, message: Key) -> bool:
        """Whether somebody erased may have written what had this key at some time."""
        return bool(self._authors.get(message[0], set()) & self.erased)

    def silenced(self, source: Source, keys: set[Key]) -> set[Key]:
        """Messages that were erased, whoever has them now."""
        return self._listed((source.entity, source.name), keys)

    @staticmethod
    def _pseudonymised(key: Key, row: LegacyRow) -> LegacyRow:
        return replace(row, values={**row.values, "email": f"erased-{key[0]}@example.invalid", "name": "erased"})

    def returned(self, source: Source, legacy: Mapping[Key, LegacyRow], target: Mapping[Key, TargetRow]) -> list[str]:
        """Rows of the erased that are in the target as they were; and rows that were erased and are none of theirs."""
        if source.entity == "people":
            back = [key for key, row in target.items() if key[0] in self.erased and row.values["name"] != "erased"]
            return [f"people {key[0]} was erased and is back" for key in back]
        if source.entity != "messages":
            return []
        silenced = self.silenced(source, legacy.keys() | target.keys())
        of_erased = {key for key in target.keys() & legacy.keys() if legacy[key].parents["author_id"] in self.erased}
        found = [
            f"messages/{source.name} {key[0]} was erased and is back" for key in silenced & target.keys() | of_erased
        ]
        wrong = [key for key in silenced if not self.wrote(key)]
        return found + [f"messages/{source.name} {key[0]} was erased, and nobody erased wrote it" for key in wrong]

    def canaries(self) -> list[str]:
        """Where anything of the erased still stands, in the target or outside of it."""
        found = []
        for (table,) in self._target.execute(_TABLES).fetchall():
            query = f"select distinct m[1]::int from {table} t, regexp_matches(t::text, 'canary-(-?[0-9]+)-', 'g') m"
            back = {row[0] for row in self._target.execute(query.encode())} & self.erased
            found += [f"a name of {key} stands in {table}" for key in sorted(back)]
        for name in _OUTSIDE:
            texts: list[tuple[Any, ...]] = self._store.ask(f"select body from {name}")  # nosec B608 - ours
            if any(_CANARY.search(text) for (text,) in texts):
                found.append(f"a name stands outside the databases, in a {name}")
        return found
