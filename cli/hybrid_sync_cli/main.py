"""`hybrid-sync`: imports the module of the command that was asked for; every failure becomes a sentence."""

from __future__ import annotations

import ast
import errno
import functools
import importlib
import os
import pkgutil
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from hybrid_sync_cli import commands as command_package
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.interrupts import signals_as_interrupts

OF_THIS_MACHINE = frozenset(("up", "down", "psql", "sample", "mutate", "demo"))
"""Commands about databases of a person's own."""

_REQUESTS = ("Asked", "Named", "Request")
"""How what a command asks of a deployment is called, the row that it names, and the run that it wants."""
_NO_ROOM = frozenset((errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM))


class LazyGroup(click.Group):
    """A group that reads where its commands are and what they do, and imports only the one that is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_written())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (written := _written()):
            return None
        loaded = importlib.import_module(f"{command_package.__name__}.{written[cmd_name].module}")
        exposed: list[click.Command] = loaded.commands
        return next(command for command in exposed if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        written = _written()
        limit = formatter.width - 6 - max(map(len, written))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=written[name].help).get_short_help_str(limit))
                    for name in sorted(written)
                ]
            )


class Written(NamedTuple):
    """What the source of a command says of it."""

    module: str
    help: str


@functools.cache
def _written() -> dict[str, Written]:
    """Each command by its name, as the modules' `commands` lists have them."""
    found: dict[str, Written] = {}
    for module in pkgutil.iter_modules(command_package.__path__):
        source = Path(command_package.__path__[0], f"{module.name}.py").read_text("utf-8")
        tree = ast.parse(source).body
        docs = {part.name: ast.get_docstring(part) or "" for part in tree if isinstance(part, ast.FunctionDef)}
        for part in tree:
            if isinstance(part, ast.AnnAssign) and ast.unparse(part.target) == "commands" and part.value:
                names = [node.id for node in ast.walk(part.value) if isinstance(node, ast.Name)]
                found |= {name: Written(module.name, docs[name]) for name in names}
    return found


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--stack", envvar="HYBRID_SYNC_STACK", metavar="NAME",
    help="The deployment to speak to, by its stack's name on AWS; the stack on this machine unless given. Also"
    " HYBRID_SYNC_STACK.",
)  # fmt: skip
@click.option("--region", metavar="REGION", help="Where that stack is; default: as for the aws command.")
@click.option("--profile", metavar="PROFILE", help="Your AWS profile; default: as for the aws command.")
@click.version_option(package_name="hybrid-sync")
@click.pass_context
def cli(context: click.Context, stack: str | None, region: str | None, profile: str | None) -> None:
    """Keep a Supabase database in step with an active legacy PostgreSQL."""
    if stack == "":
        # A variable that is not set, mostly: its command must not go to the stack on this machine instead.
        raise CliError("--stack names no stack: give it a name, or leave it out for the stack on this machine.")
    if stack and context.invoked_subcommand in OF_THIS_MACHINE:
        raise CliError(
            f"{context.invoked_subcommand} is about the stack on this machine, not about {stack}: leave out --stack,"
            " and unset HYBRID_SYNC_STACK."
        )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    from hybrid_sync.errors import SyncError

    try:
        with signals_as_interrupts():
            outcome = cli.main(argv, prog_name="hybrid-sync", standalone_mode=False)
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hybrid-sync: interrupted.", err=True)
        sys.exit(130)
    except (CliError, SyncError) as error:
        _complain(str(error))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); a second flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _complain(_disk(error) or _record(error))
    except Exception as error:  # noqa: BLE001 - the last border: a person gets a sentence, the file gets the rest
        _complain(_database(error) or _asked(error) or _record(error))


def _complain(sentence: str) -> NoReturn:
    """Exit with it; on a terminal no word is broken at the edge."""
    from hybrid_sync_cli import screen

    screen.say(f"hybrid-sync: {sentence}", err=True)
    sys.exit(1)


def _database(error: Exception) -> str:
    """A database that went away in the middle, in one sentence; empty for any other trouble."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or not isinstance(error, psycopg.OperationalError):
        return ""
    return (
        f"A database of the stack broke off ({type(error).__name__}): it restarts, or is down; try again in a minute,"
        " and start the stack with hybrid-sync up where it is down."
    )


def _asked(error: Exception) -> str:
    """What was asked for is nothing that can be: which part of it, in one sentence; empty for any other trouble."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError) or not error.title.endswith(_REQUESTS):
        return ""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    part = ".".join(map(str, first["loc"])) or "It"
    why = "it has another form" if first["type"] == "string_pattern_mismatch" else first["msg"]
    return f"{part} cannot be asked for: {why}. `hybrid-sync COMMAND --help` says what it takes."


def _disk(error: OSError) -> str:
    """A disk that takes nothing, in one sentence; empty for any other trouble."""
    if error.errno not in _NO_ROOM:
        return ""
    return (
        f"{error.filename or 'A file'} cannot be written ({error.strerror}): free some space, "
        "or set HYBRID_SYNC_HOME to a folder that may be written."
    )


def _record(error: Exception) -> str:
    """Write the traceback to a private file and return the sentence that names it."""
    from hybrid_sync_cli.stack import home

    try:
        logs = home.directory() / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as disk:
        return f"unexpected {type(error).__name__}; the details could not be written: {_disk(disk) or disk.strerror}"
    path = Path(logs, f"crash-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log")
    # PostgreSQL quotes cell values in its DETAIL lines; those stay in the database.
    trace = "".join(traceback.format_exception(error)).splitlines(keepends=True)
    text = "".join(line for line in trace if not line.startswith("DETAIL:"))
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return f"unexpected {type(error).__name__}; the details are in {path}."
