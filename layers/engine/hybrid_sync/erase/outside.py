"""The list of the erased in S3, where no backup of the target takes it along."""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.erase.records import Erasure

_PREFIX = "erasures/"
_NAME = re.compile(_PREFIX + r"(\d{9})\.json")


class S3Erasures:
    """Under one bucket's `erasures/`: keyed hashes and numbers, no key and no value."""

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket = bucket
        self._client = client

    def numbers(self) -> list[int]:
        """Of those that are kept, in order."""
        with refusals("the data bucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_PREFIX)
            keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return sorted(int(match[1]) for match in map(_NAME.fullmatch, keys) if match)

    def read(self, number: int) -> Erasure:
        """The erasure of this number, as the data bucket has it."""
        with refusals("the data bucket"):
            answer = self._client.get_object(Bucket=self._bucket, Key=_name(number))
            return Erasure.model_validate_json(answer["Body"].read())

    def write(self, erasure: Erasure) -> bool:
        """Keep it; False where another one has its number."""
        with refusals("the data bucket"):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=_name(erasure.number), Body=erasure.model_dump_json().encode(),
                    ContentType="application/json", IfNoneMatch="*",
                )  # fmt: skip
            except ClientError as error:
                # 409 answers a conditional write that runs at the same time as another one.
                if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                raise
        return True


def _name(number: int) -> str:
    return f"{_PREFIX}{number:09}.json"
