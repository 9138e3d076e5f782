"""What every run of a demo did: a line for people, and one JSON object for scripts in the file that it names."""

from __future__ import annotations

import json
from typing import Any

import click

from hybrid_sync.report.model import RunSummary
from hybrid_sync_cli.stack import home

FILE = "result.json"
"""In the stack's home; each demo replaces that of the one before."""


def in_a_word(status: int) -> str:
    """The word for an exit status: ok, degraded or failed."""
    return {0: "ok", 3: "degraded"}.get(status, "failed")


def announce(found: dict[str, Any], word: str) -> None:
    """Keep it in the file and print the line; a disk that takes no file is said, and spoils no result."""
    try:
        file = home.directory() / FILE
        home.write_private(file, json.dumps(found, sort_keys=True) + "\n")
        kept = str(file)
    except OSError as error:
        click.echo(f"The result could not be kept ({error.strerror}): demo --json prints it.", err=True)
        kept = "none"
    seconds = sum(found["steps"].values())
    click.echo(f"RESULT {word} runs={len(found['runs'])} seconds={seconds:.1f} file={kept}")


def run_result(summary: RunSummary) -> dict[str, Any]:
    """One run in counts; `peak_rss_mib` is the largest worker of each function."""
    counts = summary.counts
    return {
        "run_id": summary.run_id,
        "profile": summary.profile,
        "status": summary.status,
        "seconds": round(summary.seconds, 2),
        **counts.model_dump(),
        "conservation": summary.conserved,
        "adds_up": summary.adds_up,
        "pending_deletes": summary.pending_deletes,
        "entities": {
            e.entity: {
                **e.counts.model_dump(),
                "rows": e.conservation.model_dump(mode="json") if e.conservation else None,
                "pending_links": e.links_pending,
                "detection": e.detection,
                "conservation": bool(e.conserved),
                "fence_advanced": e.fence_advanced,
            }
            for e in summary.entities
        },
        "peak_rss_mib": {w.function: w.peak_rss_mib for w in summary.workers},
    }


def is_accounted_for(result: dict[str, Any]) -> bool:
    """Whether everything of a run of `run_result` was verified and accounted for; it may still be degraded."""
    return result["status"] in ("succeeded", "degraded") and result["conservation"] is True


def read_as_changed(result: dict[str, Any], must_read: dict[str, dict[str, list[Any]]]) -> dict[str, Any]:
    """Compare the keys that a run read with those that changed, per entity; `match` when all agree.

    `must_read` is entity -> source -> keys.  Rows that the run tried again because they had failed before are not
    among those it read.
    """
    changed = {entity: sum(map(len, sources.values())) for entity, sources in must_read.items()}
    read = {entity: counts["read"] for entity, counts in result["entities"].items()}
    entities = sorted(name for name in changed.keys() | read.keys() if changed.get(name, 0) or read.get(name, 0))
    return {
        "changed": {name: changed.get(name, 0) for name in entities},
        "read": {name: read.get(name, 0) for name in entities},
        "match": all(changed.get(name, 0) == read.get(name, 0) for name in entities),
    }
