"""Whom a deployment's connections trust: CA files on this machine become text in its secret, checked and dated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hybrid_sync.blame import Side
from hybrid_sync.servers import certificates, dsn
from hybrid_sync_cli.errors import CliError

WORDS = (certificates.SYSTEM, dsn.PLAINTEXT)


def ca_of(side: Side, given: str | None, named_by: str | None) -> str | None:
    """The CA that `--SIDE-ca` names, or else the DSN's sslrootcert: its PEM text, or a word; its expiry is reported."""
    named = given or (dsn.read(named_by, side).get("sslrootcert") if named_by else None)
    if named is None or named in WORDS:
        return named
    try:
        text = Path(named).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise CliError(
            f"The {side} CA {named} cannot be read as text: name a PEM file, {' or '.join(WORDS)}."
        ) from None
    now = datetime.now(UTC)
    bundle = certificates.examine(text, named, now)
    some = "1 CA certificate" if bundle.valid == 1 else f"{bundle.valid} CA certificates, the first"
    gone = f" ({bundle.expired} more have expired)" if bundle.expired else ""
    click.echo(f"{side} CA: {some} valid until {bundle.ends:%Y-%m-%d}{gone}.", err=True)
    if bundle.ends_soon(now):
        days = (bundle.ends - now).days
        click.echo(f"Warning: that is in {days} days; give the next CA before: --{side}-ca FILE.", err=True)
    return certificates.bare(text)
