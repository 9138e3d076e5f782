"""Acts about an entity: hold, release, sync again, compare, retry what failed."""

from __future__ import annotations

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Message, Profile, Ref, RunRequest
from hybrid_sync.dashboard.act import Before, Done, Form, Kind, name_of, started, starting
from hybrid_sync.entrypoint import parsed
from hybrid_sync.errors import RequestRejected
from hybrid_sync.services import held, redrive, starts
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.messages.holds import HoldAsked, ReleaseAsked
from hybrid_sync.services.messages.records import RedriveAsked

_CALLS = 8
"""Parts of a redrive in one request; whoever has more of them presses again."""


def _before_hold(desk: Desk, name: str) -> Before:
    follows = ("Nothing is written to it from now on, whatever runs; batches at work are waited for.",)
    return Before(f"Hold {desk.catalog[name].title}?", follows, "Hold it", fields=("why",))


def _before_release(desk: Desk, name: str) -> Before:
    follows = (
        "Runs write to it again, from the next one on, beginning where it was held.",
        "Rows that a rollback took back are read and written again: settle the cause first.",
    )
    return Before(f"Release {desk.catalog[name].title}?", follows, "Release it")


def _before_resync(desk: Desk, name: str) -> Before:
    dated = all(source.changed_at for source in desk.catalog[name].sources.values())
    follows = (
        "Legacy is read again and the target brought up to it; rows that are current are left alone.",
        "Without keys and without a date everything that has changed since the last run is carried.",
    )
    fields = ("keys", "since") if dated else ("keys",)
    title = f"Sync {desk.catalog[name].title} again?"
    return Before(title, follows, "Sync it", fields=fields, hidden=name_of("on_demand", desk))


def _ask_resync(desk: Desk, name: str, form: Form) -> Asked:
    since = form.get("since", "").strip()
    refs = tuple(_refs(desk.catalog, name, form.get("keys", "")))
    request = {
        "profile": "on_demand", "trigger": "dashboard", "refs": refs, "entities": () if refs else (name,),
        "since": f"{since}+00:00" if since and not refs else None,
    }  # fmt: skip
    return starting(form, parsed(RunRequest, request))


def _refs(catalog: Catalog, name: str, text: str) -> list[Ref]:
    """`12, 15 source:7`: keys of the entity, with their source where it has several; commas join parts with `-`."""
    sources = catalog[name].sources
    found: list[Ref] = []
    for word in text.replace(",", " ").split():
        source, _, key = word.rpartition(":")
        parts = [int(part) if part.lstrip("-").isdigit() else None for part in key.split("/")]
        if None in parts:
            raise RequestRejected(f"{word[:40]} is no key.", "Write integers; parts of one key with a / between them.")
        given = {"entity": name, "legacy_id": parts, "source": source or None}
        found.append(parsed(Ref, given))
    if len(sources) > 1 and any(ref.source is None for ref in found):
        raise RequestRejected(f"{name} has several sources.", f"Write source:key, with one of {', '.join(sources)}.")
    return found


def _before_verify(desk: Desk, name: str) -> Before:
    follows = ("All mapped contents of both sides are compared, and what differs is written anew.",)
    return Before(f"Compare {desk.catalog[name].title} now?", follows, "Compare", hidden=name_of("verify", desk))


def _ask_verify(_: Desk, name: str, form: Form) -> Asked:
    return starting(form, RunRequest(profile=Profile.verify, trigger="dashboard", entities=(name,)))


def _before_retry(desk: Desk, of: str) -> Before:
    name, _, reason = of.partition("/")
    what = f"{desk.catalog[name].title}{f' ({reason})' if reason else ''}"
    follows = (
        "Each row is read from legacy again and tried at once; one that fails again waits as before.",
        "Records that somebody has accepted stay accepted.",
    )
    return Before(f"Retry the failed records of {what}?", follows, "Retry them", hidden=name_of("redrive", desk))


def _ask_retry(_: Desk, of: str, form: Form) -> Asked:
    name, _sep, reason = of.partition("/")
    given = {"redrive_id": form.get("run_id", ""), "entity": name, "reason": reason or None}
    return parsed(RedriveAsked, given)


def _retry(desk: Desk, asked: Asked, who: str) -> Message:
    """Part after part, as many as one request may take."""
    answer = redrive.redrive(desk, parsed(RedriveAsked, asked.model_dump()), who)
    for _ in range(_CALLS):
        if not answer.more:
            break
        more = redrive.redrive(desk, parsed(RedriveAsked, {**asked.model_dump(), "again": True}), who)
        answer = more.model_copy(update={"records": answer.records + more.records})
    return answer


def _ask_hold(_: Desk, name: str, form: Form) -> Asked:
    return parsed(HoldAsked, {"entity": name, "why": form.get("why", "").strip()})


KINDS = {
    "hold": Kind("hold", _before_hold, _ask_hold, held.hold, lambda of, _: Done(f"entities/{of}", "held")),
    "release": Kind(
        "release", _before_release, lambda _, of, __: ReleaseAsked(entities=(of,)), held.release,
        lambda of, _: Done(f"entities/{of}", "released"),
    ),
    "resync": Kind("sync", _before_resync, _ask_resync, starts.sync, started),
    "verify": Kind("verify", _before_verify, _ask_verify, starts.verify, started),
    "retry": Kind(
        "redrive", _before_retry, _ask_retry, _retry, lambda of, _: Done(f"entities/{of.partition('/')[0]}", "retried")
    ),
}  # fmt: skip
