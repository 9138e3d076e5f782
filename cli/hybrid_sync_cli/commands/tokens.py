"""`hybrid-sync tokens`: who may call the HTTP trigger."""

from __future__ import annotations

import json

import click

from hybrid_sync.http.scopes import USUAL_SCOPES
from hybrid_sync.services.messages.tokens import (
    USUAL_DAYS,
    USUAL_OVERLAP_HOURS,
    CreateAsked,
    CreatedToken,
    KnownToken,
    KnownTokens,
    RevokeAsked,
    Revoked,
    RotateAsked,
    RotatedToken,
    TokensAsked,
)
from hybrid_sync_cli.deployment import Deployment


@click.group()
def tokens() -> None:
    """Create, list, rotate and revoke service tokens of the HTTP trigger."""


@tokens.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True,
    help="syncs:read, syncs:write, syncs:on_failure (to hold or undo what failed), syncs:operate (what an operator"
    " does) or syncs:erase (to have people erased); the first two unless given.",
)  # fmt: skip
@click.option("--days", type=int, default=USUAL_DAYS, show_default=True, help="How long it is valid; 730 at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(name: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a token for NAME and print it, this once."""
    asked = CreateAsked(name=name, scopes=scopes or USUAL_SCOPES, days=days)
    token = Deployment.chosen().ask("create-token", asked, CreatedToken)
    if as_json:
        click.echo(token.model_dump_json(include={"id", "token", "expires_at"}))
        return
    click.echo(token.token)
    click.echo(
        f"Token {token.id} for {token.name}, valid until {token.expires_at:%Y-%m-%d}: keep it now, it is not stored.",
        err=True,
    )


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Show every token, revoked ones included; never a secret."""
    found = Deployment.chosen().ask("tokens", TokensAsked(), KnownTokens).tokens
    if as_json:
        click.echo(json.dumps([token.model_dump(mode="json", exclude={"open"}) for token in found]))
        return
    for token in found:
        used = f"used {token.used_at:%Y-%m-%d %H:%M}" if token.used_at else "never used"
        click.echo(f"{token.id}  {_state(token):24}  {used:21}  {','.join(token.scopes):24}  {token.name}")


@tokens.command()
@click.argument("token_id")
@click.option("--days", type=int, default=USUAL_DAYS, show_default=True, help="How long it is valid; 730 at most.")
@click.option(
    "--overlap-hours", type=int, default=USUAL_OVERLAP_HOURS, show_default=True,
    help="So long the present secret opens, too; 0 for one that has leaked, 168 at most.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate(token_id: str, days: int, overlap_hours: int, as_json: bool) -> None:
    """Give the token TOKEN_ID another secret and print it, this once; whoever uses it stays the same caller."""
    asked = RotateAsked(token_id=_identifier(token_id), days=days, overlap_hours=overlap_hours)
    token = Deployment.chosen().ask("rotate-token", asked, RotatedToken)
    if as_json:
        click.echo(token.model_dump_json(include={"id", "token", "expires_at", "old_secret_until"}))
        return
    click.echo(token.token)
    click.echo(
        f"Token {token.id} for {token.name}, valid until {token.expires_at:%Y-%m-%d}: keep it now, it is not stored."
        f" The secret before it opens until {token.old_secret_until:%Y-%m-%d %H:%M} UTC.",
        err=True,
    )


@tokens.command()
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """Close the token TOKEN_ID for good."""
    revoked = Deployment.chosen().ask("revoke-token", RevokeAsked(token_id=_identifier(token_id)), Revoked)
    click.echo(f"Token {revoked.id} is revoked, and opens nothing any more.")


def _identifier(token: str) -> str:
    """People paste what they have at hand, which may be the whole token."""
    return token.removeprefix("hs_").split("_", 1)[0]


def _state(token: KnownToken) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}"
    until = f"{token.expires_at:%Y-%m-%d %H:%M}"
    return f"valid to {until}" if token.open else f"expired {until}"


commands: list[click.Command] = [tokens]
