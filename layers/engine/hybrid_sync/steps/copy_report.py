"""The report of a run outside the target: as pages and as a document in the data bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.render import to_both
from hybrid_sync.world import World


def copy_report(world: World, run_id: str, summary: RunSummary, document: Mapping[str, Any]) -> tuple[str, str]:
    """Where the page and the document lie.

    While the bucket is gone, or refuses us, the target's report has to do, and the first says so: what has to follow on
    a run's end, such as its alert, waits for no person.  Raises AwsUnavailable, after which it is tried again.
    """
    page, text = to_both(summary)
    try:
        shown = world.reports.write_page(run_id, "html", page)
        world.reports.write_page(run_id, "md", text)
        return shown, world.reports.write(run_id, document)
    except ConfigurationMissing as missing:
        return f"hybrid-sync report {run_id}. Done without: {missing}", ""
