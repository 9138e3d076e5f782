"""Copies of the id map in S3: which UUID each legacy key had, for the day when the target has lost rows.

A copy is a folder of gzipped texts, a line for each key.  It counts only once its list of contents is there, which is
written last.  Keys and UUIDs are all that it holds.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import Key
from hybrid_sync.errors import RequestRejected
from hybrid_sync.keys import key_of_texts, key_text

_PREFIX = "idmap/"
_CONTENTS = "contents.json"
_LINE = re.compile(r"(-?\d+(?:,-?\d+)*) ([0-9a-f]{32})")


class S3IdBackups:
    """The copies under one bucket's `idmap/`."""

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket = bucket
        self._client = client

    def write(self, backup: str, entity: str, source: str, number: int, ids: Mapping[Key, bytes]) -> None:
        """One part; safe to repeat."""
        text = "".join(f"{key_text(key)} {uuid.hex()}\n" for key, uuid in ids.items())
        # Without the time of its making, the same ids are the same bytes.
        body = gzip.compress(text.encode(), compresslevel=6, mtime=0)
        with refusals("the data bucket"):
            self._client.put_object(Bucket=self._bucket, Key=_part(backup, entity, source, number), Body=body)

    def complete(self, backup: str, places: Iterable[tuple[str, str]]) -> None:
        """Say that all is there; RequestRejected where a part of an entity's source is not."""
        parts = Counter[tuple[str, str]]()
        for key in sorted(self._keys(f"{_PREFIX}{backup}/")):
            _, _, entity, source, _ = key.split("/")
            parts[entity, source] += key == _part(backup, entity, source, parts[entity, source])
        missing = [f"{entity}/{source}" for entity, source in places if not parts[entity, source]]
        if missing:
            raise RequestRejected(
                f"The backup {backup} lacks {', '.join(missing)}.", "Make a new one with: hybrid-sync idmap backup."
            )
        contents: dict[str, dict[str, int]] = {}
        for (entity, source), number in parts.items():
            contents.setdefault(entity, {})[source] = number
        with refusals("the data bucket"):
            self._client.put_object(
                Bucket=self._bucket, Key=f"{_PREFIX}{backup}/{_CONTENTS}", Body=json.dumps(contents).encode()
            )

    def names(self) -> list[str]:
        """Of the complete ones, the newest first: a name begins with the time of its making."""
        found = self._keys(_PREFIX)
        return sorted({key.split("/")[1] for key in found if key.endswith(f"/{_CONTENTS}")}, reverse=True)

    def contents(self, backup: str) -> dict[str, dict[str, int]]:
        """How many parts each entity and source has; RequestRejected where there is no such complete copy."""
        if backup not in self.names():
            raise RequestRejected(
                f"There is no complete backup {backup} of the id map.", "List them with: hybrid-sync idmap backups."
            )
        with refusals("the data bucket"):
            answer = self._client.get_object(Bucket=self._bucket, Key=f"{_PREFIX}{backup}/{_CONTENTS}")
            return dict(json.loads(answer["Body"].read()))

    def read(self, backup: str, entity: str, source: str, number: int) -> dict[Key, bytes]:
        """One part; RequestRejected where it is not as we write them."""
        with refusals("the data bucket"):
            answer = self._client.get_object(Bucket=self._bucket, Key=_part(backup, entity, source, number))
            body = answer["Body"].read()
        lines = gzip.decompress(body).decode().splitlines()
        matches = [_LINE.fullmatch(line) for line in lines]
        if None in matches:
            raise RequestRejected(
                f"Part {number} of {entity} in the backup {backup} is damaged.",
                "Choose an older backup with: hybrid-sync idmap backups.",
            )
        return {key_of_texts(m[1].split(",")): bytes.fromhex(m[2]) for m in matches if m}

    def _keys(self, prefix: str) -> list[str]:
        with refusals("the data bucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [found["Key"] for page in pages for found in page.get("Contents", ())]


def _part(backup: str, entity: str, source: str, number: int) -> str:
    return f"{_PREFIX}{backup}/{entity}/{source}/{number:06}.gz"
