"""`hybrid-sync install`: the engine's schema, role and grants in a target; in the stack's, or in your own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from hybrid_sync.schema.install import Way
from hybrid_sync.schema.install import install as install_target
from hybrid_sync.services.install import InstallAsked, Installed, prepare
from hybrid_sync_cli import checking
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.deployment.outputs import outputs
from hybrid_sync_cli.deployment.place import Place
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project
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
@click.pass_context
def install(
    context: click.Context, target_dsn: str | None, legacy_dsn: str | None, target_ca: str | None,
    legacy_ca: str | None, pooler: str | None, supabase_url: str | None, supabase_jwt_secret: str | None, ipv6: bool,
    secret: str | None, from_inside: bool, new_password: bool,
) -> None:  # fmt: skip
    """Bring a target up to date: migrations, the worker role, its grants on the mapped tables. Safe to repeat.

    With --stack or --secret the functions' DSNs and CAs are stored in the deployment's secret, and nothing secret is
    printed.
    """
    on_aws = bool(context.find_root().params.get("stack"))
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
        done = prepare(_Secret(secret) if secret else _Secret.of_stack(), catalog_of_project(), _parsed(asked))
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


class _Secret:
    """A deployment's secret, as the person here may read and write it."""

    def __init__(self, name: str, session: Session | None = None, **place: Any) -> None:
        self.name = name
        with _readable():
            self._client = (session or Session()).create_client("secretsmanager", **place)

    @classmethod
    def of_stack(cls) -> _Secret:
        """The one that the chosen stack names."""
        place = Place.chosen()
        # What is kept may be of a stack that was deleted since, whose secret outlives it.
        name = outputs(place, fresh=True)["ConnectionSecret"]
        return cls(name, place.session, region_name=place.region, endpoint_url=place.endpoint or None)

    def held(self) -> dict[str, str]:
        with _readable():
            held: dict[str, str] = json.loads(self._client.get_secret_value(SecretId=self.name)["SecretString"])
        return held

    def fill(self, values: dict[str, str]) -> None:
        with _readable():
            self._client.put_secret_value(SecretId=self.name, SecretString=json.dumps(values))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _unreadable(error.response["Error"]["Code"]) from None
    except BotoCoreError as error:
        raise _unreadable(type(error).__name__) from None


def _unreadable(why: str) -> CliError:
    return CliError(f"The secret cannot be read ({why}): check --secret, AWS_REGION and your credentials.")


commands: list[click.Command] = [install]
