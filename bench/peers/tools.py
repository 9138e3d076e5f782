"""Public tools as contestants, each from an environment of its own: dlt and sling, into bare tables."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.peers.measure import PROJECT, Job
from bench.peers.peer import Does, Peer, Phase, Place
from bench.peers.tables import TABLES

_DLT = PROJECT / ".venv-bench" / "bin" / "python"
_REPLICATION = """source: LEGACY
target: TARGET
defaults:
  mode: incremental
  primary_key: [id]
  update_key: updated_at
  object: sl.{stream_table}
  target_options: { add_new_columns: false }
streams:
"""


def _dlt(place: Place, backend: str) -> Job:
    order = {
        "legacy": place.legacy.replace("postgresql://", "postgresql+psycopg2://"), "target": place.target,
        "folder": str(place.folder), "backend": backend, "tables": [table.name for table in TABLES],
    }  # fmt: skip
    return Job((str(_DLT), "-m", "bench.peers.dlt_job"), order, {"DLT_DATA_DIR": str(place.folder)})


def _without_dlt() -> str:
    return "" if _DLT.exists() else "dlt is not installed: run make bench, or make .venv-bench/.ready"


def _sling() -> Path | None:
    found = sorted((PROJECT / ".venv-bench-sling").glob("lib/python*/site-packages/sling_*/bin/sling-*"))
    return found[0] if found else None


def _without_sling() -> str:
    return "" if _sling() else f"PyPI has no sling for this machine ({sys.platform}), or it is not installed"


def _replicate(place: Place) -> Job:
    """The same command each time: it goes on from what is there."""
    plan = place.folder / "replication.yaml"
    plan.write_text(_REPLICATION + "".join(f"  public.{table.name}:\n" for table in TABLES), "utf-8")
    environment = {
        "SLING_HOME_DIR": str(place.folder), "SLING_DISABLE_TELEMETRY": "TRUE", "SLING_THREADS": "2",
        "LEGACY": f"{place.legacy}?sslmode=disable", "TARGET": f"{place.target}?sslmode=disable",
    }  # fmt: skip
    return Job((str(_sling()), "run", "--replication", str(plan)), environment=environment, waits=False)


def dlt(backend: str, name: str = "dlt") -> Peer:
    """With this reader of tables."""
    return Peer(
        name, f"dlt ({backend}), bare tables", Does(),
        {phase: lambda place: _dlt(place, backend) for phase in (Phase.first, Phase.delta)},
        schema="dl", missing=_without_dlt,
    )  # fmt: skip


SLING = Peer(
    "sling", "sling, bare tables", Does(), dict.fromkeys((Phase.first, Phase.delta), _replicate),
    schema="sl", missing=_without_sling,
)  # fmt: skip
