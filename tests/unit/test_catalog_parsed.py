"""A catalog that was parsed when it was built means what its YAML says, and nothing once that says something else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_sync.catalog.document import decode, parse
from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.parsed import FILE, read_parsed, write_parsed
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync.errors import CatalogError

SAMPLE = Path("layers/catalog")
TEXTS = """\
entity: texts
target: texts
list: [a, "b", 'c', null, ~, ""]
"Quoted": >
  folded
'single': |
  kept
empty:
deep: {x: {y: [1, "1"]}}
marked: &all [one]
again: *all
"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "hybrid_sync_catalog"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("Makefile"))
    write_parsed(folder)
    return folder


def with_quotes(data: object) -> object:
    if isinstance(data, dict):
        return [(with_quotes(key), with_quotes(value)) for key, value in data.items()]
    if isinstance(data, list):
        return [with_quotes(item) for item in data]
    return data if data is None else (str(data), data.quotes)  # type: ignore[attr-defined]


def test_what_was_parsed_is_what_the_yaml_says_with_its_quotes(tmp_path: Path) -> None:
    file = tmp_path / "texts.yaml"
    file.write_text(TEXTS)
    write_parsed(tmp_path)
    parsed = read_parsed(tmp_path)
    assert parsed.has(file.name, file.read_bytes())
    assert with_quotes(parsed.data(file.name)) == with_quotes(parse(file.name, TEXTS).data())


def test_the_catalog_is_the_same_and_no_yaml_is_parsed_for_it(built: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hybrid_sync.catalog.load import load;"
        " from hybrid_sync.catalog.webhooks import load_webhooks; folder = Path(sys.argv[1]); catalog = load(folder);"
        " print(catalog.hash, load_webhooks(catalog, folder).model_dump_json(), 'ruamel.yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, built], capture_output=True, text=True, check=True)
    expected = load(SAMPLE)
    webhooks = load_webhooks(expected, SAMPLE)
    assert done.stdout.strip() == f"{expected.hash} {webhooks.model_dump_json()} False"


def test_a_file_that_has_changed_since_is_parsed_as_it_stands(built: Path) -> None:
    file = built / "offices.yaml"
    file.write_text(file.read_text().replace("target: offices", "target: agencies"))
    assert load(built)["offices"].target == "agencies"


def test_a_mistake_is_found_and_its_line_is_named(built: Path) -> None:
    (built / "offices.yaml").write_text((built / "offices.yaml").read_text().replace("key:", "kee:", 1))
    write_parsed(built)
    with pytest.raises(CatalogError, match=r"offices\.yaml:\d+: .*kee: extra inputs"):
        load(built)


@pytest.mark.parametrize("content", ["", "{", '{"form": 0, "files": {"offices.yaml": {"data": "-"}}}'])
def test_what_was_parsed_otherwise_does_not_count(built: Path, content: str) -> None:
    (built / FILE).write_text(content)
    assert load(built).hash == load(SAMPLE).hash


def test_what_is_no_yaml_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("a: [")
    with pytest.raises(CatalogError, match=r"wrong\.yaml:"):
        write_parsed(tmp_path)
    assert decode("x", b"") == "" and not (tmp_path / FILE).exists()
