"""Plans and reports in S3: a plan is written once, a report can be written again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic_core import to_json

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import BatchTask, Manifest, Message, PageKind
from hybrid_sync.errors import AwsUnavailable

_REPORTS = "reports/"
_ROUNDS = 3
"""Of a plan, while another attempt is writing it, before the step is left to be repeated."""
_PAGE_TYPES: dict[PageKind, str] = {"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8"}


class S3Manifests:
    """The batches of each entity of a run, as the JSON array that the state machine's map reads."""

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket = bucket
        self._client = client

    def write_once(self, run_id: str, entity: str, tasks: Sequence[Message]) -> Manifest:
        """Write the plan, or keep the one that an earlier attempt wrote: batches of it may be under way.

        Raises AwsUnavailable where another attempt is writing it all the time.  A plan that is there and cannot be read
        is none without batches: the entity's rows would be taken for carried.
        """
        key = _manifest(run_id, entity)
        body = to_json([task.model_dump(mode="json") for task in tasks])
        for _ in range(_ROUNDS):
            with refusals("the data bucket"):
                try:
                    _put(self._client, self._bucket, key, body, IfNoneMatch="*")
                    return Manifest(self._bucket, key, len(tasks))
                except _ExistsError:
                    earlier = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                    return Manifest(self._bucket, key, len(json.loads(earlier)))
                except _AtOnceError:
                    continue
        raise AwsUnavailable("Another attempt is writing the plan.")

    def read(self, run_id: str, entity: str) -> list[BatchTask] | None:
        """The plan as it was first written; None when there is none yet."""
        with refusals("the data bucket"):
            body = _get(self._client, self._bucket, _manifest(run_id, entity))
        return None if body is None else [BatchTask.model_validate(task) for task in json.loads(body)]


class S3Reports:
    """One JSON document per run, and beside it the same as pages."""

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket = bucket
        self._client = client

    def write(self, run_id: str, document: Mapping[str, Any]) -> str:
        """Write or replace the run's report; returns s3://bucket/key.  `document` must be plain JSON."""
        key = _report(run_id)
        with refusals("the data bucket"):
            _put(self._client, self._bucket, key, to_json(document, indent=1))
        return f"s3://{self._bucket}/{key}"

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str:
        """Write or replace the report as a page, of a type that a browser shows; returns s3://bucket/key."""
        key = f"{_REPORTS}{run_id}.{kind}"
        with refusals("the data bucket"):
            _put(self._client, self._bucket, key, text.encode(), _PAGE_TYPES[kind])
        return f"s3://{self._bucket}/{key}"

    def read(self, run_id: str) -> dict[str, Any] | None:
        """The report, or None while there is none."""
        stored = self.stored(run_id)
        return None if stored is None else stored[0]

    def stored(self, run_id: str) -> tuple[dict[str, Any], datetime] | None:
        """The report, and when it was written; None while there is none."""
        with refusals("the data bucket"):
            found = _object(self._client, self._bucket, _report(run_id))
        return None if found is None else (dict(json.loads(found[0])), found[1])

    def newest(self, limit: int) -> list[str]:
        """The ids of the runs whose reports were written last."""
        with refusals("the data bucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_REPORTS)
            files = [(o["LastModified"], o["Key"]) for page in pages for o in page.get("Contents", ())]
        documents = sorted((found for found in files if found[1].endswith(".json")), reverse=True)
        return [key.removeprefix(_REPORTS).removesuffix(".json") for _, key in documents[:limit]]


class _ExistsError(Exception):
    """Somebody has written this object before."""


class _AtOnceError(Exception):
    """Somebody writes this object at the same time, and it may come to nothing."""


def _manifest(run_id: str, entity: str) -> str:
    return f"manifests/{run_id}/{entity}.json"


def _report(run_id: str) -> str:
    return f"{_REPORTS}{run_id}.json"


def _put(client: Client, bucket: str, key: str, body: bytes, kind: str = "application/json", **condition: str) -> None:
    try:
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind, **condition)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "PreconditionFailed":
            raise _ExistsError from None
        if code == "ConditionalRequestConflict":
            raise _AtOnceError from None
        raise


def _get(client: Client, bucket: str, key: str) -> bytes | None:
    found = _object(client, bucket, key)
    return None if found is None else found[0]


def _object(client: Client, bucket: str, key: str) -> tuple[bytes, datetime] | None:
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
        return bytes(answer["Body"].read()), answer["LastModified"]
    except ClientError as error:
        # Without the right to list a bucket, S3 answers AccessDenied for an object that is not there.
        if error.response["Error"]["Code"] in ("NoSuchKey", "AccessDenied"):
            return None
        raise
