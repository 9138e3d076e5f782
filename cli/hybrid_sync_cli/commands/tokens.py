"""`hybrid-sync tokens`: who may call the HTTP trigger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from hybrid_sync_cli.errors import CliError

if TYPE_CHECKING:
    from hybrid_sync.http.tokens import Token, Tokens


@click.group()
@click.option("--table", help="The control table of a deployment on AWS; by default the local stack's.")
@click.pass_context
def tokens(context: click.Context, table: str | None) -> None:
    """Create, list and revoke service tokens of the HTTP trigger."""
    context.obj = table


@tokens.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True,
    help="syncs:read, syncs:write or syncs:on_failure (to hold or undo what failed); the first two unless given.",
)  # fmt: skip
@click.option("--days", type=int, default=365, show_default=True, help="How long it is valid; 730 at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def create(table: str | None, name: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a token for NAME and print it, this once."""
    from hybrid_sync.http.tokens import USUAL_SCOPES

    token, readable = _tokens(table).create(name, scopes or USUAL_SCOPES, days)
    if as_json:
        click.echo(json.dumps({"id": token.token_id, "token": readable, "expires_at": token.expires_at.isoformat()}))
        return
    click.echo(readable)
    click.echo(
        f"Token {token.token_id} for {token.name}, valid until {token.expires_at:%Y-%m-%d}: keep it now, it is not"
        " stored.",
        err=True,
    )


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(table: str | None, as_json: bool) -> None:
    """Show every token, revoked ones included; never a secret."""
    found = _tokens(table).list()
    if as_json:
        click.echo(json.dumps([_plain(token) for token in found]))
        return
    for token in found:
        state = _state(token)
        created = f"{token.created_at:%Y-%m-%d %H:%M}"
        click.echo(f"{token.token_id}  {created}  {state:24}  {','.join(token.scopes):24}  {token.name}")


@tokens.command()
@click.argument("token_id")
@click.pass_obj
def revoke(table: str | None, token_id: str) -> None:
    """Close the token TOKEN_ID for good."""
    # People paste what they have at hand, which may be the whole token.
    identifier = token_id.removeprefix("hs_").split("_", 1)[0]
    if not _tokens(table).revoke(identifier):
        raise CliError(f"There is no token {identifier}: see hybrid-sync tokens list.")
    click.echo(f"Token {identifier} is revoked; API Gateway may accept it for another minute.")


def _tokens(table: str | None) -> Tokens:
    from hybrid_sync.http.tokens import Tokens

    if table is not None:
        from botocore.exceptions import BotoCoreError

        from hybrid_sync.aws import client

        try:
            return Tokens(table, client("dynamodb"))
        except BotoCoreError:  # no region, or a profile that is not there
            raise CliError(
                "AWS is not configured here: set AWS_DEFAULT_REGION and credentials, or AWS_PROFILE."
            ) from None
    from hybrid_sync_cli.stack import Stack

    stack = Stack.load()
    return Tokens(stack.outputs["ControlTable"], stack.client("dynamodb"))


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}"
    until = f"{token.expires_at:%Y-%m-%d %H:%M}"
    return f"valid to {until}" if token.is_open(datetime.now(UTC)) else f"expired {until}"


def _plain(token: Token) -> dict[str, object]:
    return {
        "id": token.token_id,
        "name": token.name,
        "scopes": list(token.scopes),
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at.isoformat(),
        "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
    }


commands: list[click.Command] = [tokens]
