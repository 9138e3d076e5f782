"""`hybrid-sync --help` says what there is, from the commands' own sentences, and loads none of them."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import click

from hybrid_sync_cli import commands
from hybrid_sync_cli.main import cli


def test_the_list_has_every_command_under_its_name_with_its_sentence() -> None:
    context = click.Context(cli)
    exposed: list[click.Command] = [
        command
        for module in pkgutil.iter_modules(commands.__path__)
        for command in importlib.import_module(f"{commands.__name__}.{module.name}").commands
    ]
    assert cli.list_commands(context) == sorted(command.name or "" for command in exposed)
    for command in exposed:
        assert cli.get_command(context, command.name or "") is command
    listed = "\n".join(line.strip() for line in cli.get_help(context).partition("Commands:\n")[2].splitlines())
    width = max(len(command.name or "") for command in exposed)
    usual = click.HelpFormatter(width=context.terminal_width, max_width=context.max_content_width).width - 6 - width
    for command in exposed:
        assert f"{command.name:{width}}  {command.get_short_help_str(usual)}" in listed
    assert cli.get_command(context, "no-such-command") is None


def test_help_loads_no_command_and_no_library_of_one() -> None:
    program = (
        "import sys\n"
        "from hybrid_sync_cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "print(*(m for m in sys.modules if m.partition('.')[0] not in sys.stdlib_module_names), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "rollback" in done.stdout
    assert {name.partition(".")[0] for name in loaded} <= {"__main__", "_distutils_hack", "click", "hybrid_sync_cli"}
    assert len(loaded) < 30
