"""DynamoDB's and S3's part of a run as files, so that worker processes share them and no emulator needs a processor.

Only the calls that a run makes, answered in boto's form.  What AWS's own client would cost is in `stack_vs_engine`.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


class FileTable:
    """A table of pages in one file: a file for each item would cost the client what looking for an inode costs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._items = sqlite3.connect(folder / "items.sqlite", isolation_level=None, timeout=60)
        self._items.execute("pragma journal_mode = wal")
        self._items.execute("pragma synchronous = off")
        self._items.execute("create table if not exists items (pk text primary key, seal blob, ids blob)")
        self.reads = self.writes = 0
        """Items."""

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        [(table, asked)] = RequestItems.items()
        items = []
        for key in asked["Keys"]:
            self.reads += 1
            found = self._items.execute("select seal, ids from items where pk = ?", (key["pk"]["S"],)).fetchone()
            if found:
                items.append({**key, "seal": {"B": found[0]}, "ids": {"B": found[1]}})
        return {"Responses": {table: items}}

    def batch_write_item(self, RequestItems: Mapping[str, Sequence[Any]]) -> dict[str, Any]:  # noqa: N803
        [(_, puts)] = RequestItems.items()
        items: list[Item] = [put["PutRequest"]["Item"] for put in puts]
        self.writes += len(items)
        rows = [(item["pk"]["S"], item["seal"]["B"], item["ids"]["B"]) for item in items]
        self._items.execute("begin immediate")
        self._items.executemany("insert or replace into items values (?, ?, ?)", rows)
        self._items.execute("commit")
        return {}


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
