"""`hybrid-sync install`: the engine's schema, role and grants in a target; in the stack's, or in your own."""

from __future__ import annotations

import json
import secrets
from typing import Any

import click
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.schema.install import install as install_target
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.stack import Stack, home


@click.command()
@click.option(
    "--target-dsn",
    envvar="HYBRID_SYNC_TARGET_DSN",
    help="Your target, as its `postgres` role; also HYBRID_SYNC_TARGET_DSN. The stack's unless given.",
)
@click.option(
    "--legacy-dsn",
    envvar="HYBRID_SYNC_LEGACY_DSN",
    help="Your legacy database, as a role that may only read: goes into the secret; also HYBRID_SYNC_LEGACY_DSN.",
)
@click.option("--secret", metavar="ARN", help="The deployment's ConnectionSecret on AWS, to put both DSNs into.")
@click.option(
    "--new-password", is_flag=True, help="Replace the worker's password; whoever uses the old one is locked out."
)
def install(target_dsn: str | None, legacy_dsn: str | None, secret: str | None, new_password: bool) -> None:
    """Bring a target up to date: migrations, the worker role, its grants on the mapped tables. Safe to repeat.

    With --secret the functions' DSNs are stored in the deployment's secret, and nothing secret is printed.
    """
    if target_dsn is None:
        if secret or legacy_dsn:
            raise CliError("Say which target to prepare: give --target-dsn, or set HYBRID_SYNC_TARGET_DSN.")
        _install_stack()
    elif secret is None:
        worker = install_target(target_dsn, secrets.token_urlsafe(32), catalog_of_project(), new_password=new_password)
        click.echo(worker)
        click.echo(
            "The target is ready; this DSN is the functions' own: put it into the secret as target_dsn.", err=True
        )
    else:
        _install_deployment(target_dsn, legacy_dsn, secret, new_password=new_password)
        click.echo("The target is ready, and the deployment's secret holds the functions' DSNs.")


def _install_stack() -> None:
    from hybrid_sync_cli.stack import databases
    from hybrid_sync_cli.stack.home import StateFile

    stack = Stack.load()
    databases.install(stack.target_dsn, StateFile(home.directory() / "keep.json"), home.project_root())
    click.echo("The stack's target is up to date.")


def _install_deployment(target_dsn: str, legacy_dsn: str | None, secret: str, *, new_password: bool) -> None:
    """Prepare the target, then store the DSNs; whatever else the secret holds stays."""
    client, held = _open_secret(secret)
    present = None if new_password else _password_in(held.get("target_dsn"))
    held["target_dsn"] = install_target(
        target_dsn, present or secrets.token_urlsafe(32), catalog_of_project(), new_password=new_password
    )
    if legacy_dsn is not None:
        held["legacy_dsn"] = legacy_dsn
    client.put_secret_value(SecretId=secret, SecretString=json.dumps(held))


def _open_secret(secret: str) -> tuple[Any, dict[str, str]]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("secretsmanager")
        held: dict[str, str] = json.loads(client.get_secret_value(SecretId=secret)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise CliError(
            f"The secret cannot be read ({type(error).__name__}): check --secret, AWS_REGION and your credentials."
        ) from None
    return client, held


def _password_in(dsn: str | None) -> str | None:
    """The worker's present password: functions at work keep theirs until they read the secret again."""
    try:
        return str(conninfo_to_dict(dsn).get("password") or "") or None if dsn else None
    except ProgrammingError:  # a person wrote something else there
        return None


commands: list[click.Command] = [install]
