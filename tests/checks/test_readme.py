"""The README's way to AWS is what `make deploy-drill` types, here is checked that it can; it names every command."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from hybrid_sync_cli.deployment.template import read
from hybrid_sync_cli.main import cli
from tests.deploy_drill import readme
from tests.deploy_drill.drill import ADDRESS, CHECK, SYNC, Drill


def test_the_way_to_aws_deploys_connects_checks_and_can_be_gone_back() -> None:
    typed = [line for line in readme.commands() if not line.startswith("export ")]
    assert typed[0] == f"make deploy ARGS='--parameter-overrides {ADDRESS}'"
    assert "hybrid-sync install" in typed[1]
    assert typed[2] == CHECK
    assert typed[3] == SYNC
    assert "--offline-secret" in typed[4]
    assert "sam delete" in typed[5]
    assert "--restore-secret" in typed[6]
    assert len(typed) == 7


def test_the_drill_knows_what_a_person_writes_for_the_dots() -> None:
    known = inspect.getsource(Drill._value)
    dotted = [line for line in readme.commands() if line.startswith("export ") and "…" in line]
    assert dotted
    assert [line for line in dotted if f'"{line.split()[1].partition("=")[0]}"' not in known] == []


def test_every_parameter_stands_with_its_default_in_the_table_of_parameters() -> None:
    text = Path("docs/aws.md").read_text("utf-8")
    table = text[text.index("### All parameters") : text.index("## Taking it away")]
    told: dict[str, str] = {}
    for line in re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.M):
        names, defaults = (re.findall(r"`([^`]+)`|(–)", cell) for cell in line)
        told |= {name[0]: "".join(default).strip("–") for name, default in zip(names, defaults, strict=True)}
    parameters = read(Path("template.yaml"))["Parameters"]
    assert told == {name: str(given.get("Default", "")) for name, given in parameters.items()}


def test_every_command_stands_in_the_table_of_commands() -> None:
    text = Path("README.md").read_text("utf-8")
    table = text[text.index("| command | what it does |") : text.index("## The report")]
    told = {name for line in table.splitlines() for name in re.findall(r"`([a-z]+)", line.split(" | ")[0])}
    assert set(cli.list_commands(click.Context(cli))) - told == set()
