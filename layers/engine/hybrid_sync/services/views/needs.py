"""What needs a person: each with its cause, since when it is so, what to do and the one action that does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.errors import PartMissing, Side
from hybrid_sync.report.document import Tone
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.words import age, n_of, reason_title
from hybrid_sync.services.views.missed import Missed
from hybrid_sync.services.views.model import FRESH_GOAL_DAYS, Act, Need, Queue, RunMark, Server
from hybrid_sync.services.views.verified import Verified

if TYPE_CHECKING:
    from hybrid_sync.breaker.state import Breaker

STRANGE_FROM = 100
"""So many messages more than records are no coincidence."""


def needs(
    *,
    queues: Sequence[Queue],
    held: Sequence[Mapping[str, Any]],
    missed: Sequence[Missed],
    last: Sequence[Mapping[str, Any]],
    last_run: RunMark | None,
    again: str,
    verified: Mapping[str, Verified],
    fresh: Sequence[Mapping[str, Any]],
    servers: Sequence[Server],
    breakers: Mapping[Side, Breaker],
    paused: str,
    catalog: Catalog,
    now: datetime,
) -> tuple[Need, ...]:
    """The worst first; of one tone the oldest first."""
    found = [
        *of_servers(servers, breakers),
        *_run(last_run, again),
        *_entities(last, verified, catalog),
        *_sums(verified, catalog),
        *_held(held, verified, catalog),
        *_failed_records(missed, verified),
        *_junk(queues),
        *_stale(fresh, now, catalog),
        *_paused(paused),
    ]
    tones = (Tone.bad, Tone.warning)
    return tuple(sorted(found, key=lambda n: (tones.index(n.tone), n.since or now)))


def of_servers(servers: Iterable[Server], breakers: Mapping[Side, Breaker]) -> tuple[Need, ...]:
    """Databases and stores that do not answer; since when, where a breaker stands open for it."""
    since = {side.capitalize(): breaker.away_since for side, breaker in breakers.items()}
    return tuple(
        _gone(one) if PartMissing.mark in one.said else _away(one, since.get(one.name)) for one in servers if not one.ok
    )


def _away(one: Server, since: datetime | None) -> Need:
    return Need(
        tone=Tone.bad, subject=one.name, title=f"{one.name} does not answer", cause=one.said,
        remedy="Runs wait for it and go on by themselves; look at the server if it lasts.",
        command="hybrid-sync check", href="#servers", since=since,
    )  # fmt: skip


def _gone(one: Server) -> Need:
    """A part of the deployment that was deleted."""
    return Need(
        tone=Tone.bad, subject=one.name, title=f"{one.name} is gone", cause=one.said,
        remedy="Find out who deleted it, then have it made anew, as the template has it.",
        command="hybrid-sync repair", href="#servers",
    )  # fmt: skip


def _run(last: RunMark | None, again: str) -> Iterator[Need]:
    """`again`: what its next attempt says, where there is one."""
    if last is not None and last.never_began:
        yield Need(
            tone=Tone.warning if again else Tone.bad, subject=last.run_id,
            title=f"The last {last.title.lower()} never began", cause=last.never_began,
            remedy=again or "Settle the cause, then run it: what it would have brought is still to be read in legacy.",
            command=f"hybrid-sync report {last.run_id}", since=last.at, href=f"runs/{last.run_id}",
            act=Act(kind="run", label="Run now", of=last.profile),
        )  # fmt: skip
    elif last is not None and last.status in _ENDED_ILL:
        settle = "Read the cause on the run's page, settle it, and run again: a run goes on with what is left."
        if stopped := last.status == "cancelled":
            settle = "Run it again, or leave it to the next one, which reads the same rows: nothing is lost in between."
        yield Need(
            tone=Tone.warning if again or stopped else Tone.bad, subject=last.run_id,
            title=f"The last {last.title.lower()} {_ENDED_ILL[last.status]}",
            cause="What it did before that is in the target; what it did not verify keeps its fence.",
            remedy=f"{again} Look at its cause if that fails, too." if again else settle,
            command=f"hybrid-sync report {last.run_id}", since=last.at, href=f"runs/{last.run_id}",
            act=Act(kind="run-again", label="Run again", of=last.run_id),
        )  # fmt: skip


_ENDED_ILL = {"failed": "failed", "lost": "was lost", "cancelled": "was stopped"}


def _entities(last: Iterable[Mapping[str, Any]], verified: Mapping[str, Verified], catalog: Catalog) -> Iterator[Need]:
    for row in last:
        name = row["entity"]
        if name not in catalog.entities:
            continue
        known = verified.get(name)
        if row["guarded"]:
            yield Need(
                tone=Tone.warning, subject=name, records=row["guarded"],
                title=f"{_title(name, catalog)}: {n_of(row['guarded'], 'row')} would be deleted",
                cause="They are gone from legacy, and more than may go without a person's word.",
                remedy="Look whether legacy has really lost them; if so, let them go.",
                command=f"hybrid-sync sync --entity {name} --allow-deletes {name}", since=row["finished_at"],
                last_good=known.at if known else None, href=f"entities/{name}",
            )  # fmt: skip
        elif row["status"] != "verified":
            failure = row["failure"] or {}
            yield Need(
                tone=Tone.bad, subject=name, title=f"{_title(name, catalog)} was not verified",
                cause=str(failure.get("text") or "The run ended before it came to it."),
                remedy=f"Settle the cause ({failure['code']}), then sync it again." if failure else "Sync it again.",
                command=f"hybrid-sync sync --entity {name}", since=row["finished_at"],
                last_good=known.at if known else None, href=f"entities/{name}",
                act=Act(kind="resync", label="Sync it again", of=name),
            )  # fmt: skip


def _sums(verified: Mapping[str, Verified], catalog: Catalog) -> Iterator[Need]:
    for name, one in verified.items():
        if one.adds_up is Sum.no:
            yield Need(
                tone=Tone.bad, subject=name, title=f"{_title(name, catalog)} does not add up",
                cause="Rows, references or money of the two sides differ, and no failed record says why.",
                remedy="Compare it now; what differs is listed by key and column.",
                command=f"hybrid-sync verify {name}", since=one.at, href=f"entities/{name}",
                act=Act(kind="verify", label="Compare it now", of=name),
            )  # fmt: skip


def _held(held: Iterable[Mapping[str, Any]], verified: Mapping[str, Verified], catalog: Catalog) -> Iterator[Need]:
    for row in held:
        name = row["entity"]
        known = name in catalog.entities  # one that has left the catalog has no page, from which it could be released
        yield Need(
            tone=Tone.warning, subject=name, title=f"{_title(name, catalog)} is held",
            cause=f"{row['why'] or 'No reason was given.'} Held by {row['by'] or 'nobody knows whom'}.",
            remedy="Nothing is written to it until somebody releases it: do so when the cause is settled."
            if known else "The catalog has no such entity any more: release it, unless it is to come back and be held.",
            command=f"hybrid-sync release {name}", since=row["since"],
            last_good=verified[name].at if name in verified else None, href=f"entities/{name}" if known else "",
            act=Act(kind="release", label="Release", of=name) if known else None,
        )  # fmt: skip


def _failed_records(missed: Iterable[Missed], verified: Mapping[str, Verified]) -> Iterator[Need]:
    for one in missed:
        if one.needs_a_person:
            known = verified.get(one.entity)
            yield Need(
                tone=Tone.warning, subject=one.entity, records=one.records - one.accepted,
                title=f"{one.title}: {n_of(one.records - one.accepted, 'record')}, {_lower(reason_title(one.code))}",
                cause=f"{one.reason.meaning} Such as {', '.join(one.keys)}.",
                remedy=one.reason.remedy,
                command=f"hybrid-sync failures --entity {one.entity} --reason {one.code}", since=one.oldest,
                last_good=known.at if known else None, href=f"entities/{one.entity}#missed",
                act=Act(kind="retry", label="Retry these", of=f"{one.entity}/{one.code}"),
            )  # fmt: skip


def _junk(queues: Iterable[Queue]) -> Iterator[Need]:
    """A message names at least one record that waits, but for some that were settled while it was on its way."""
    for one in queues:
        if one.messages is not None and one.messages - one.records >= STRANGE_FROM:
            yield Need(
                tone=Tone.warning, subject=one.name, title=f"{one.messages - one.records:,} messages are none of ours",
                cause=f"{one.title}: {n_of(one.messages, 'message')} for {n_of(one.records, 'record')}. Somebody else"
                " has sent the others, or another version has.",
                remedy="Nothing is lost: the records are in the target, and what nobody can read is let go after three"
                " attempts. Find out who may send to the queue; to be rid of it at once, purge it, then retry all.",
                command="hybrid-sync failures redrive --all", href="#queues",
            )  # fmt: skip


def _stale(fresh: Sequence[Mapping[str, Any]], now: datetime, catalog: Catalog) -> Iterator[Need]:
    late = [
        row for row in fresh
        if row["entity"] in catalog.entities and now - row["complete_until"] > timedelta(days=FRESH_GOAL_DAYS)
    ]  # fmt: skip
    if late:
        behind = age(now - late[0]["complete_until"])
        yield Need(
            tone=Tone.bad if len(late) == len(catalog.entities) else Tone.warning, subject="freshness",
            title=f"{n_of(len(late), 'entity', 'entities')} older than {FRESH_GOAL_DAYS} days",
            cause=f"The oldest, {late[0]['entity']}, has what legacy had {behind} ago.",
            remedy="Start a run now; if the weekly one did not come, look at the schedule and at what failed.",
            command="hybrid-sync sync", since=late[0]["complete_until"] + timedelta(days=FRESH_GOAL_DAYS),
            act=Act(kind="run", label="Run now", of="weekly"),
        )  # fmt: skip


def _paused(paused: str) -> Iterator[Need]:
    if paused:
        yield Need(
            tone=Tone.warning, subject="starts", title="Starts are paused", cause=f"Paused {paused}.",
            remedy="Until somebody resumes nothing starts and no failed record is tried again; requests wait.",
            command="hybrid-sync resume", act=Act(kind="resume", label="Resume", of="starts"),
        )  # fmt: skip


def _lower(words: str) -> str:
    """The first letter; `JSON` stays."""
    return words[:1].lower() + words[1:]


def _title(name: str, catalog: Catalog) -> str:
    known = catalog.entities.get(name)
    return known.title if known else name
