"""dlt: each table through `sql_table` into a schema of its own, merged by its key.  Runs in dlt's own environment."""

from __future__ import annotations

import os
from typing import Any

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "EXTRACT__WORKERS": "2",
    "NORMALIZE__WORKERS": "2", "LOAD__WORKERS": "4", "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true", "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "200000",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}  # fmt: skip
"""Two processors' worth; what goes to the same machine needs no compression."""
os.environ.update(SETTINGS)

import dlt  # noqa: E402
from dlt.sources.sql_database import sql_table  # noqa: E402

from bench.peers.begin import asked, done, go  # noqa: E402


def main() -> None:
    order = asked()
    if order["backend"] == "connectorx":
        import connectorx  # noqa: F401
    go()
    destination = dlt.destinations.postgres(order["target"])
    pipeline = dlt.pipeline(
        pipeline_name="bench", pipelines_dir=order["folder"], destination=destination, dataset_name="dl"
    )
    pipeline.run([resource(order, table) for table in order["tables"]])
    done()


def resource(order: dict[str, Any], table: str) -> Any:
    """What is younger than what was seen the last time, merged by the key."""
    more = {"backend_kwargs": {"return_type": "arrow"}} if order["backend"] == "connectorx" else {}
    made = sql_table(
        credentials=order["legacy"], table=table, schema="public", backend=order["backend"], chunk_size=50_000,
        incremental=dlt.sources.incremental("updated_at"), reflection_level="full_with_precision", **more,
    )  # fmt: skip
    made.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"}, primary_key="id")
    return made


if __name__ == "__main__":
    main()
