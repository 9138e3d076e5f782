"""`hybrid-sync install`: the engine's schema, role and grants in a target; in the stack's, or in your own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from hybrid_sync.schema.install import Way
from hybrid_sync.schema.install import install as install_target
from hybrid_sync.services.install import InstallAsked, Installed, prepare
from hybrid_sync_cli import checking
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.deployment.secrets import ConnectionSecret, Secrets
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.here import secret_file
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.trust import ca_of


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
@click.option(
    "--supabase-url", metavar="URL",
    help="Whose people may sign in to the HTTP API; the project that the target's DSN names, unless given.",
)  # fmt: skip
@click.option(
    "--supabase-jwt-secret", envvar="HYBRID_SYNC_SUPABASE_JWT_SECRET", metavar="SECRET",
    help="Where that project still signs with one (HS256): better as HYBRID_SYNC_SUPABASE_JWT_SECRET.",
)  # fmt: skip
@click.option("--ipv6", is_flag=True, help="The functions have IPv6, or the Supabase project has the IPv4 add-on.")
@click.option("--secret", metavar="ARN", help="The deployment's ConnectionSecret on AWS; --stack finds it by itself.")
@click.option(
    "--from-inside", is_flag=True,
    help="Let the deployment do it: no database need be open to this machine. The DSN is used once and kept nowhere.",
)  # fmt: skip
@click.option(
    "--new-password", is_flag=True, help="Replace the worker's password; whoever uses the old one is locked out."
)
@click.option(
    "--offline-secret", type=click.Path(path_type=Path), metavar="FILE",
    help="Write what the functions know to a private FILE, for run --here and --restore-secret; keep it off line.",
)  # fmt: skip
@click.option(
    "--restore-secret", type=click.Path(path_type=Path), metavar="FILE",
    help="Bring the id secret of such a copy back into the deployment, and do nothing else.",
)  # fmt: skip
@click.pass_context
def install(
    context: click.Context, target_dsn: str | None, legacy_dsn: str | None, target_ca: str | None,
    legacy_ca: str | None, pooler: str | None, supabase_url: str | None, supabase_jwt_secret: str | None, ipv6: bool,
    secret: str | None, from_inside: bool, new_password: bool, offline_secret: Path | None, restore_secret: Path | None,
) -> None:  # fmt: skip
    """Bring a target up to date: migrations, the worker role, its grants on the mapped tables. Safe to repeat.

    With --stack or --secret the functions' DSNs and CAs are stored in the deployment's secret, and nothing secret is
    printed.
    """
    on_aws = bool(context.find_root().params.get("stack"))
    if restore_secret is not None:
        _restore(restore_secret)
        return
    if secret and offline_secret:
        raise CliError("--secret names one of the two secrets that a copy has: name the deployment with --stack.")
    if offline_secret and target_dsn is None:
        _copy(offline_secret)
        return
    if secret and (from_inside or on_aws):
        raise CliError("The stack has its own secret: leave out --secret, or --stack and --from-inside.")
    if target_dsn is None:
        if secret or legacy_dsn or target_ca or legacy_ca or pooler or supabase_url or ipv6 or on_aws:
            raise CliError("Say which target to prepare: give --target-dsn, or set HYBRID_SYNC_TARGET_DSN.")
        if not from_inside:
            _install_stack()
            return
        target_dsn = Stack.load().target_dsn
    asked = {
        "target_dsn": target_dsn, "target_ca": ca_of("target", target_ca, target_dsn), "pooler": pooler, "ipv6": ipv6,
        "legacy_dsn": legacy_dsn, "legacy_ca": ca_of("legacy", legacy_ca, legacy_dsn), "new_password": new_password,
        "supabase_url": supabase_url, "supabase_jwt_secret": supabase_jwt_secret,
    }  # fmt: skip
    if from_inside:
        done = Deployment.chosen().ask("install", asked, Installed)
    elif on_aws or secret:
        done = prepare(
            ConnectionSecret(secret) if secret else ConnectionSecret.of_stack(), catalog_of_project(), _parsed(asked)
        )
    elif offline_secret:
        raise CliError("An id secret is a deployment's: name it with --stack.")
    elif supabase_url:
        raise CliError("Who may sign in is said in a deployment's secret: give --stack or --secret, too.")
    else:
        _print_worker(_parsed(asked))
        return
    click.echo("The target is ready, and the deployment's secret holds the functions' DSNs.")
    if not done.legacy:
        click.echo("The secret holds no way to legacy yet: give --legacy-dsn, too.", err=True)
    elif from_inside or on_aws:
        click.echo(checking.after(Deployment.chosen()))
    else:
        click.echo("Next: hybrid-sync --stack NAME check; scheduled runs start once it has passed.")
    if offline_secret:
        _copy(offline_secret)


def _copy(file: Path) -> None:
    secret_file.write(file, Secrets().held())
    click.echo(f"{file} opens both databases and tells whose id is whose: keep it where neither AWS nor they are.")


def _restore(file: Path) -> None:
    Secrets().bring_back(secret_file.read(file))
    click.echo("The deployment has its id secret back. Runs begin again: hybrid-sync sync --profile daily")


def _parsed(asked: dict[str, Any]) -> InstallAsked:
    return InstallAsked.model_validate(asked)


def _print_worker(asked: InstallAsked) -> None:
    """Without a deployment a person stores the DSN."""
    ca = asked.target_ca.get_secret_value() if asked.target_ca else None
    worker = install_target(
        asked.target_dsn.get_secret_value(), secrets.token_urlsafe(32), catalog_of_project(),
        new_password=asked.new_password, way=Way(ca, asked.pooler, asked.ipv6),
    )  # fmt: skip
    click.echo(worker)
    click.echo(
        "The target is ready; this DSN is the functions' own: put it into the secret as target_dsn, and its CA as"
        " target_ca.", err=True,
    )  # fmt: skip


def _install_stack() -> None:
    from hybrid_sync_cli.stack import databases
    from hybrid_sync_cli.stack.home import StateFile

    stack = Stack.load()
    databases.install(stack.target_dsn, StateFile(home.directory() / "keep.json"), home.project_root())
    click.echo("The stack's target is up to date.")
    click.echo(checking.after(Deployment.here(stack)), err=True)


commands: list[click.Command] = [install]
