"""Look whether the deployment is fit to run."""

from __future__ import annotations

from hybrid_sync.check.model import StartedCheck
from hybrid_sync.steps.check_deployment import check_deployment
from hybrid_sync.wiring import function

handler = function(StartedCheck, check_deployment)
