"""DynamoDB's and S3's part of a run as files, so that worker processes share them and no emulator needs a processor.

Only the calls that a run makes, answered in boto's form.  What AWS's own client would cost is in `stack_vs_engine`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


class FolderTable:
    """A table of pages: an item is a file whose first line is its seal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reads = self.writes = 0
        """Items."""
        folder.mkdir(parents=True, exist_ok=True)

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        [(table, asked)] = RequestItems.items()
        items = []
        for key in asked["Keys"]:
            self.reads += 1
            try:
                kept = self._file(key["pk"]["S"]).read_bytes()
            except FileNotFoundError:
                continue
            length = kept[0]
            items.append({**key, "seal": {"B": kept[1 : 1 + length]}, "ids": {"B": kept[1 + length :]}})
        return {"Responses": {table: items}}

    def batch_write_item(self, RequestItems: Mapping[str, Sequence[Any]]) -> dict[str, Any]:  # noqa: N803
        [(_, puts)] = RequestItems.items()
        for put in puts:
            self.writes += 1
            item: Item = put["PutRequest"]["Item"]
            seal = item["seal"]["B"]
            self._file(item["pk"]["S"]).write_bytes(bytes([len(seal)]) + seal + item["ids"]["B"])
        return {}

    def _file(self, name: str) -> Path:
        return self._folder / quote(name, safe="")


class FolderBucket:
    """A bucket: an object is a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put_object(self, Bucket: str, Key: str, Body: bytes, **more: str) -> dict[str, Any]:  # noqa: N803
        file = self._file(Key)
        try:
            with file.open("xb" if "IfNoneMatch" in more else "wb") as opened:
                opened.write(Body)
        except FileExistsError:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject") from None
        return {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        try:
            body = self._file(Key).read_bytes()
        except FileNotFoundError:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject") from None
        return {"Body": io.BytesIO(body), "LastModified": datetime.now(UTC)}

    def _file(self, key: str) -> Path:
        return self._folder / quote(key, safe="")
