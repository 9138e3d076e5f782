"""Link the references that close a cycle."""

from __future__ import annotations

from hybrid_sync.contracts import LinkTask
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.wiring import function

handler = function(LinkTask, link_references)
