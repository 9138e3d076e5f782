"""Each command that the documentation prints exists, with each of the options that it is printed with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hybrid_sync_cli.main import cli
from hybrid_sync_cli.stack import home

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{file.name}" for file in Path(home.project_root(), "docs").glob("*.md")),
)
_SPAN = re.compile(r"`((?:\.venv/bin/)?hybrid-sync [^`]+)`")
_LINE = re.compile(r"^\s*(?:\$ )?((?:\.venv/bin/)?hybrid-sync .+)$", re.MULTILINE)
_FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"…|\.\.\.|[A-Z]{3,}")


def printed(document: str) -> Iterator[str]:
    text = (home.project_root() / document).read_text("utf-8")
    for block in _FENCED.findall(text):
        yield from _LINE.findall(block)
    yield from _SPAN.findall(_FENCED.sub("", text))


def mistakes(line: str) -> Iterator[str]:
    """What of it does not exist; a command that is printed in general, such as `hybrid-sync COMMAND`, has none."""
    words = shlex.split(re.sub(r"[\[\]\\]", "", line).partition(" # ")[0])[1:]
    context = click.Context(cli)
    command: click.Command = cli
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            name = word.partition("=")[0]
            options = {o: p for p in command.params for o in (*p.opts, *p.secondary_opts)}
            if name not in options and name != "--help":
                yield f"{command.name or 'hybrid-sync'} has no {name}"
                return
            option = options.get(name)
            if isinstance(option, click.Option) and not option.is_flag and "=" not in word and words:
                words.pop(0)
        elif isinstance(command, click.Group):
            if _PLACEHOLDER.fullmatch(word):
                return
            for name in word.split("|"):
                if (found := command.get_command(context, name)) is None:
                    yield f"there is no command {name}"
                    return
            assert found is not None
            command = found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_printed_can_be_typed(document: str) -> None:
    found = {line: list(mistakes(line)) for line in printed(document)}
    assert {line: wrong for line, wrong in found.items() if wrong} == {}


def test_the_runbook_prints_commands_and_a_wrong_one_would_be_seen() -> None:
    assert len(list(printed("docs/runbook.md"))) > 30
    assert list(mistakes("hybrid-sync sync --profle weekly")) == ["sync has no --profle"]
    assert list(mistakes("hybrid-sync idmap mend")) == ["there is no command mend"]
    assert list(mistakes("hybrid-sync --stack NAME idmap check|rebuild payments")) == []
