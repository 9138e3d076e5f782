"""What is kept of erasures in the target, and outside of it: a target that is restored to before one lacks it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from psycopg import sql

from hybrid_sync.contracts import Message
from hybrid_sync.erase.certificate import Certificate, Kind
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.keys import PARAMETER
from hybrid_sync.postgres import Connection, Question


class Suppressed(Message):
    """One key that is not written again."""

    entity: str
    source: str
    bucket: int
    hash: str
    alone: bool = False
    """Merged into another: rows that refer to it are not its person's."""

    @property
    def place(self) -> tuple[str, str]:
        return self.entity, self.source


class ErasedPlace(Message):
    """Which rows of legacy the keys of an entity's source are of."""

    entity: str
    source: str
    reads: str


class Erasure(Message):
    """One erasure as it is kept outside the target."""

    number: int
    fingerprint: str
    by: str
    why: str
    at: str
    request: str = ""
    kind: Kind = "erased"
    named: int = 0
    keys: tuple[Suppressed, ...]
    places: tuple[ErasedPlace, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """What the certificate says from the beginning: everything but the lists of keys."""
        return self.model_dump(mode="json", exclude={"number", "fingerprint", "keys", "places"})


class Erasures(Protocol):
    """The list outside the target, an object for each erasure."""

    def numbers(self) -> list[int]:
        """Numbers of the stored erasures, in order."""
        ...

    def read(self, number: int) -> Erasure: ...

    def write(self, erasure: Erasure) -> bool:
        """Store the erasure; False where its number is taken."""
        ...


def number(entity: str) -> Question[int]:
    """The last erasure, once nothing of the entity is being erased; nothing will be until the transaction ends."""
    return Question("select hybrid_sync.erasures(%s)", (entity,), lambda found: int(found.fetchall()[0][0]))


def last() -> Question[int]:
    """The last erasure that the transaction sees."""
    return Question(
        "select coalesce(max(n), 0) from hybrid_sync.erasure", None, lambda found: int(found.fetchall()[0][0])
    )


def list_of(
    target: Connection, entities: Collection[str], *, alone: bool = False
) -> list[tuple[tuple[str, str], int, bytes]]:
    """Place, bucket and hash of each suppressed key of these entities: of persons, or of rows that were merged."""
    rows = target.execute(
        "select entity, source, bucket, hash from hybrid_sync.suppressed where entity = any(%s) and alone = %s",
        (list(entities), alone),
    ).fetchall()
    return [((entity, source), int(bucket), bytes(digest)) for entity, source, bucket, digest in rows]


def require_secret(target: Connection, fingerprint: str) -> None:
    """Raises ConfigurationMissing where keys were hashed under another id secret: nobody could find out who was
    erased."""
    foreign = target.execute(
        "select min(n) from hybrid_sync.erasure where fingerprint <> %s", (fingerprint,)
    ).fetchone()
    if foreign is not None and foreign[0] is not None:
        raise other_secret(foreign[0])


def other_secret(number: int) -> ConfigurationMissing:
    """The error for keys that were hashed under another id secret."""
    return ConfigurationMissing(
        f"Erasure {number} was recorded under another id secret, so nobody can tell whom it concerns.",
        "Give the deployment the id secret back that it had then; nothing is written until it has it.",
    )


def enter(target: Connection, erasure: Erasure) -> None:
    """Record the erasure in the target, without its certificate yet."""
    target.execute(
        "insert into hybrid_sync.erasure (n, fingerprint, certificate) values (%s, %s, %s)",
        (erasure.number, erasure.fingerprint, json.dumps(erasure.about)),
    )
    rows = erasure.keys
    target.execute(
        sql.SQL(
            "insert into hybrid_sync.suppressed (entity, source, bucket, hash, alone, erasure)"
            " select entity, source, bucket, decode(hash, 'hex'), alone, %s"
            " from unnest(%s::text[], %s::text[], {}, %s::text[], %s::bool[])"
            " as u (entity, source, bucket, hash, alone)"
            " on conflict do nothing"
        ).format(PARAMETER),
        (
            erasure.number, [r.entity for r in rows], [r.source for r in rows], [r.bucket for r in rows],
            [r.hash for r in rows], [r.alone for r in rows],
        ),
    )  # fmt: skip


def certify(target: Connection, certificate: Certificate) -> None:
    """Record the certificate: what the erasure did."""
    target.execute("select hybrid_sync.certify(%s, %s)", (certificate.number, certificate.model_dump_json()))


def recorded(target: Connection) -> list[int]:
    """The numbers of the erasures that the target knows of."""
    return [int(row[0]) for row in target.execute("select n from hybrid_sync.erasure order by n").fetchall()]


def recall(target: Connection, number: int) -> Erasure:
    """An erasure as the target has it."""
    row = target.execute(
        "select fingerprint, certificate, (select coalesce(jsonb_agg(jsonb_build_object('entity', entity, 'source',"
        " source, 'bucket', bucket, 'hash', encode(hash, 'hex'), 'alone', alone) order by entity, source, hash), '[]')"
        " from hybrid_sync.suppressed s where s.erasure = e.n), (select coalesce(jsonb_agg(to_jsonb(p) order by entity,"
        " source), '[]') from hybrid_sync.erased_place p where (entity, source) in (select s.entity, s.source"
        " from hybrid_sync.suppressed s where s.erasure = e.n)) from hybrid_sync.erasure e where n = %s",
        (number,),
    ).fetchone()
    assert row is not None, "asked of those that are recorded"
    fingerprint, stored, keys, places = row
    about = {name: stored[name] for name in ("at", "by", "why", "request", "kind", "named") if name in stored}
    kept = {"number": number, "fingerprint": fingerprint, "keys": keys, "places": places}
    return Erasure.model_validate({**kept, **about})


def of_request(target: Connection, request: str) -> Certificate | None:
    """What this request has had erased before."""
    row = target.execute(
        "select certificate from hybrid_sync.erasure where certificate->>'request' = %s", (request,)
    ).fetchone()
    return Certificate.model_validate(row[0]) if row else None


def containing(target: Connection, wanted: Collection[Suppressed]) -> Certificate | None:
    """The newest certificate about these keys, where all of them are suppressed already."""
    rows = target.execute(
        "select s.erasure from unnest(%s::text[], %s::text[], %s::text[]) as u (entity, source, hash)"
        " left join hybrid_sync.suppressed s on s.entity = u.entity and s.source = u.source"
        " and s.hash = decode(u.hash, 'hex')",
        ([w.entity for w in wanted], [w.source for w in wanted], [w.hash for w in wanted]),
    ).fetchall()
    if not rows or any(erasure is None for (erasure,) in rows):
        return None
    newest = max(erasure for (erasure,) in rows)
    row = target.execute("select certificate from hybrid_sync.erasure where n = %s", (newest,)).fetchone()
    assert row is not None, "the list refers to it"
    return Certificate.model_validate(row[0])


def named_today(target: Connection) -> int:
    """How many rows requests of events and programs have named within a day."""
    row = target.execute(
        "select coalesce(sum((certificate->>'named')::int), 0) from hybrid_sync.erasure"
        " where certificate->>'request' <> '' and at > clock_timestamp() - interval '1 day'"
    ).fetchone()
    assert row is not None, "an aggregate is one row"
    return int(row[0])


def note(target: Connection, kind: Kind, by: str, what: Mapping[str, Any], code: str = "") -> None:
    """A line of the audit trail, of an erasure that no command has asked for; `code` says why it was refused."""
    target.execute(
        "insert into hybrid_sync.audit (request_id, who, source_ip, command, what, outcome, code)"
        " values (%s, %s, '', %s, %s, %s, nullif(%s, ''))",
        (
            what.get("run_id", ""), by, "merge" if kind == "merged" else "erase", json.dumps(what),
            "refused" if code else "done", code,
        ),
    )  # fmt: skip


def certificates(target: Connection) -> list[Certificate]:
    """Of all erasures, the newest first."""
    rows = target.execute("select certificate from hybrid_sync.erasure order by n desc").fetchall()
    return [Certificate.model_validate(row[0]) for row in rows]


# --- what a worker has heard of --------------------------------------------------------------------------------------

_last_known: WeakKeyDictionary[object, int] = WeakKeyDictionary()
"""By world: the last erasure."""


def remember_last(world: object, number: int) -> None:
    """Remember the number of the last erasure in this worker."""
    _last_known[world] = number


def last_known(world: object) -> int:
    """The number of the last erasure that this worker knows of; it may be old, so a writer asks again under its
    locks."""
    return _last_known.get(world, 0)
