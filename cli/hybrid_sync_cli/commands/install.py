"""`hybrid-sync install`: the engine's schema, role and grants in a target; in the stack's, or in your own."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from typing import Any

import click
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.schema.install import Way
from hybrid_sync.schema.install import install as install_target
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.trust import ca_of, legacy_for_functions


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
@click.option("--target-ca", metavar="FILE", help="The CA of the target's certificate (PEM), system, or plaintext.")
@click.option("--legacy-ca", metavar="FILE", help="The same of legacy.")
@click.option("--pooler", metavar="HOST[:PORT]", help="Supabase's pooler, by which the functions reach the target.")
@click.option("--ipv6", is_flag=True, help="The functions have IPv6, or the Supabase project has the IPv4 add-on.")
@click.option("--secret", metavar="ARN", help="The deployment's ConnectionSecret on AWS, to put both DSNs into.")
@click.option(
    "--new-password", is_flag=True, help="Replace the worker's password; whoever uses the old one is locked out."
)
def install(
    target_dsn: str | None, legacy_dsn: str | None, target_ca: str | None, legacy_ca: str | None, pooler: str | None,
    ipv6: bool, secret: str | None, new_password: bool,
) -> None:  # fmt: skip
    """Bring a target up to date: migrations, the worker role, its grants on the mapped tables. Safe to repeat.

    With --secret the functions' DSNs and CAs are stored in the deployment's secret, and nothing secret is printed.
    """
    if target_dsn is None:
        if secret or legacy_dsn or target_ca or legacy_ca or pooler or ipv6:
            raise CliError("Say which target to prepare: give --target-dsn, or set HYBRID_SYNC_TARGET_DSN.")
        _install_stack()
        return
    target = Way(ca_of("target", target_ca, target_dsn), pooler, ipv6)
    if secret is None:
        worker = install_target(
            target_dsn, secrets.token_urlsafe(32), catalog_of_project(), new_password=new_password, way=target
        )
        click.echo(worker)
        click.echo(
            "The target is ready; this DSN is the functions' own: put it into the secret as target_dsn, and its CA as"
            " target_ca.", err=True,
        )  # fmt: skip
        return
    legacy = _Legacy(legacy_dsn, ca_of("legacy", legacy_ca, legacy_dsn), ipv6)
    _install_deployment(target_dsn, target, legacy, secret, new_password=new_password)
    click.echo("The target is ready, and the deployment's secret holds the functions' DSNs.")


def _install_stack() -> None:
    from hybrid_sync_cli.stack import databases
    from hybrid_sync_cli.stack.home import StateFile

    stack = Stack.load()
    databases.install(stack.target_dsn, StateFile(home.directory() / "keep.json"), home.project_root())
    click.echo("The stack's target is up to date.")


@dataclass(frozen=True)
class _Legacy:
    """What a person says of legacy; what is None stays as it was."""

    dsn: str | None
    ca: str | None
    ipv6: bool


def _install_deployment(target_dsn: str, target: Way, legacy: _Legacy, secret: str, *, new_password: bool) -> None:
    """Prepare the target, then store DSNs and CAs; whatever else the secret holds stays."""
    client, held = _open_secret(secret)
    target_ca, legacy_ca = target.ca or held.get("target_ca"), legacy.ca or held.get("legacy_ca")
    if legacy.dsn is not None:  # what is wrong with it is said before anything is done
        held["legacy_dsn"] = legacy_for_functions(legacy.dsn, legacy_ca, ipv6=legacy.ipv6)
    present = None if new_password else _password_in(held.get("target_dsn"))
    held["target_dsn"] = install_target(
        target_dsn, present or secrets.token_urlsafe(32), catalog_of_project(), new_password=new_password,
        way=replace(target, ca=target_ca),
    )  # fmt: skip
    held.update({name: ca for name, ca in (("target_ca", target_ca), ("legacy_ca", legacy_ca)) if ca})
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
