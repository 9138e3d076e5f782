"""`up`, `down`, `env` and `psql`: the stack on this machine."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import click

from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.outputs import api_url, outputs
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack, home

# What libpq reads from the environment, so that no password stands in a process list.
PG_NAMES = ("host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "options")
PG_VARIABLES = {name: "PGDATABASE" if name == "dbname" else f"PG{name.upper()}" for name in PG_NAMES}


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--legacy-dsn", help="A legacy database of your own; it is only read.")
@click.option("--target-dsn", help="A Supabase database of your own, as its `postgres` role.")
@click.option("--legacy-port", type=click.IntRange(1, 65535), help="Where legacy listens.")
@click.option("--target-port", type=click.IntRange(1, 65535), help="Where the target listens.")
@click.option("--rest-port", type=click.IntRange(1, 65535), help="Where the REST API listens.")
@click.option("--aws-port", type=click.IntRange(1, 65535), help="Where AWS listens.")
@click.option(
    "--strict/--no-strict",
    default=None,
    help="Judge every role and signature as AWS does, and let nobody into the target without TLS; the default in"
    " continuous integration.",
)
@click.option("--inject", default="", help="Bad luck: throttles=0.05,duplicates=0.2,cold_starts=0.1,seed=7.")
def up(
    legacy_dsn: str | None,
    target_dsn: str | None,
    legacy_port: int | None,
    target_port: int | None,
    rest_port: int | None,
    aws_port: int | None,
    strict: bool | None,
    inject: str,
) -> None:
    """Start both databases and AWS on this machine, deploy the template, and check it.

    Repeating it on a running stack deploys what has changed. Free ports are found where none is named.
    """
    from hybrid_sync_cli import checking
    from hybrid_sync_cli.deployment import Deployment
    from hybrid_sync_cli.emulator import injected
    from hybrid_sync_cli.stack.options import UpOptions
    from hybrid_sync_cli.stack.up import Builder

    try:
        injected.parsed(inject)
    except ValueError as error:
        raise CliError(f"--inject: {error}.") from error
    for option, dsn in (("--legacy-dsn", legacy_dsn), ("--target-dsn", target_dsn)):
        if dsn is not None and not dsn.strip():
            raise CliError(
                f"{option} is empty: give a connection string, or leave it out for a database of the stack's own."
            )
    ports = {"legacy": legacy_port, "target": target_port, "rest": rest_port, "aws": aws_port}
    options = UpOptions(legacy_dsn, target_dsn, ports, injected=inject)
    if strict is not None:
        options = replace(options, strict=strict)
    with home.only_one():
        stack = Builder(options, _say).run()
    _say(f"The stack is up: AWS at {stack.aws_endpoint_url}, the API at {stack.api_url or '(none)'}.")
    _say(checking.after(Deployment.here(stack)))
    fills = "hybrid-sync sample fills databases that are empty (no check of those passes), " if stack.owned else ""
    _say(f"Next: {fills}hybrid-sync env shows all addresses, hybrid-sync psql target opens the target.")


@click.command()
@click.option("--purge", "everything", is_flag=True, help="Delete the databases and everything else as well.")
def down(everything: bool) -> None:
    """Stop everything that `up` started; the databases keep their data."""
    from hybrid_sync_cli.stack.home import StateFile
    from hybrid_sync_cli.stack.processes import Processes
    from hybrid_sync_cli.stack.up import purge, tear_down

    with home.only_one():
        processes = Processes(home.directory())
        state = StateFile(processes.home / "keep.json")
        # Whoever takes the stack down may bring it up on other databases: `up` must not think that it is a slip.
        state.put("wishes", None)
        (purge if everything else tear_down)(processes, state)
    _say("The stack is down" + (" and its data deleted." if everything else "; its data is kept."))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def env(as_json: bool) -> None:
    """Print where everything is, one KEY=value a line; of a deployment on AWS nothing that is secret."""
    values = _environment()
    if as_json:
        click.echo(json.dumps(values, indent=1))
    else:
        click.echo("\n".join(f"{name}={value}" for name, value in values.items()))


def _environment() -> dict[str, str]:
    location = Location.chosen()
    if location.is_local:
        return Stack.load().environment()
    found = outputs(location)
    return {"AWS_DEFAULT_REGION": location.region, "API_URL": api_url(location, found), **found}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("side", type=click.Choice(["legacy", "target"]))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(side: str, arguments: tuple[str, ...]) -> None:
    """Open psql on a database; ARGUMENTS are psql's own, for instance -c 'select 1'."""
    from psycopg.conninfo import conninfo_to_dict

    from hybrid_sync_cli.stack import binaries
    from hybrid_sync_cli.stack.tls_cluster import with_tls

    stack = Stack.load()
    dsn = stack.legacy_dsn if side == "legacy" else stack.target_dsn
    server = with_tls() if side == "target" and stack.target_ca else binaries.find()
    bundled = server.folder / "psql"
    program = str(bundled) if bundled.exists() else shutil.which("psql")
    if program is None:
        raise CliError("There is no psql on this machine: install PostgreSQL's client programs.")
    given = {PG_VARIABLES[name]: str(value) for name, value in conninfo_to_dict(dsn).items() if name in PG_VARIABLES}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # psql takes our place, with the terminal and all.
    os.execve(program, [program, *arguments], {**kept, **given})  # nosec B606


commands: list[click.Command] = [up, down, env, psql]
