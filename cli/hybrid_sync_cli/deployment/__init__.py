"""A deployment, on AWS or on this machine, as the commands see it: one way to ask, wherever it is."""

from __future__ import annotations

from hybrid_sync_cli.deployment.deployment import Deployment as Deployment
from hybrid_sync_cli.deployment.deployment import TargetAway as TargetAway
