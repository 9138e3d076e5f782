"""Plans and reports of runs in a folder on this machine, as they are in the data bucket of a deployment."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_sync.contracts import BatchTask, Manifest, Message, PageKind
from hybrid_sync.erase.records import Erasure
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

_ERASURE = re.compile(r"(\d{9})\.json")


class FolderManifests:
    """The batches of each entity of a run; the first plan stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "manifests"

    def write_once(self, run_id: str, entity: str, tasks: Sequence[Message]) -> Manifest:
        file = self._file(run_id, entity)
        if not file.exists():
            home.write_private(file, json.dumps([task.model_dump(mode="json") for task in tasks]))
        return Manifest(str(self._folder), f"{run_id}/{entity}", len(json.loads(file.read_text("utf-8"))))

    def read(self, run_id: str, entity: str) -> list[BatchTask] | None:
        file = self._file(run_id, entity)
        if not file.exists():
            return None
        return [BatchTask.model_validate(task) for task in json.loads(file.read_text("utf-8"))]

    def lines(self, bucket: str, key: str) -> list[Any]:
        """As a map of the state machine reads them."""
        file = Path(bucket, f"{key}.json")
        if not file.exists():
            raise LookupError(key)
        return list(json.loads(file.read_text("utf-8")))

    def _file(self, run_id: str, entity: str) -> Path:
        return self._folder / run_id / f"{entity}.json"


class FolderReports:
    """A report as JSON, and beside it the same as pages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "reports"

    def write(self, run_id: str, document: Mapping[str, Any]) -> str:
        return self._put(f"{run_id}.json", json.dumps(document, ensure_ascii=False, indent=1))

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str:
        return self._put(f"{run_id}.{kind}", text)

    def read(self, run_id: str) -> dict[str, Any] | None:
        return home.read_json(self._folder / f"{run_id}.json") or None

    def _put(self, name: str, text: str) -> str:
        home.write_private(self._folder / name, text)
        return str(self._folder / name)


class FolderErasures:
    """The list of the erased, fetched from the data bucket's `erasures/`."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CliError(f"There is no folder {folder}: fetch the data bucket's erasures/ into it.")
        self._folder = folder

    def numbers(self) -> list[int]:
        return sorted(int(match[1]) for file in self._folder.iterdir() if (match := _ERASURE.fullmatch(file.name)))

    def read(self, number: int) -> Erasure:
        return Erasure.model_validate_json((self._folder / f"{number:09}.json").read_text("utf-8"))

    def write(self, erasure: Erasure) -> bool:
        file = self._folder / f"{erasure.number:09}.json"
        if file.exists():
            return False
        home.write_private(file, erasure.model_dump_json())
        return True


class FolderRuns:
    """Which runs this machine has begun, and which of them still live: each holds a lock that ends with its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "runs"

    @contextmanager
    def at_work(self, run_id: str) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / run_id).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def status(self, run_id: str) -> str | None:
        """running or lost; None of a run that somebody else has begun."""
        file = self._folder / run_id
        if not file.exists():
            return None
        with file.open("r") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return "running"
        return "lost"
