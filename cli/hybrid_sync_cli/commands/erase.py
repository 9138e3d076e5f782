"""`hybrid-sync erase ENTITY:KEY`: a person's rows go, or lose what is personal, and nothing brings them back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import click

from hybrid_sync.erase.certificate import Certificate
from hybrid_sync.services.messages.erasing import Certificates, EraseAsked, ErasuresAsked, Named, Preview
from hybrid_sync_cli.deployment import Deployment

_ROW = re.compile(r"(?P<entity>[a-z0-9_]+)(/(?P<source>[a-z0-9_]+))?:(?P<key>-?[0-9]+(,-?[0-9]+)*)")
_AT_ONCE = 20
_WORDS = {"erased": "Erasure", "merged": "Merge"}


@click.command()
@click.argument("rows", nargs=-1, required=True, metavar="ENTITY:KEY…")
@click.option("--why", default="", help="Stands in the certificate, for whoever asks in six years.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The certificates as JSON; needs --yes.")
def erase(rows: tuple[str, ...], why: str, yes: bool, as_json: bool) -> None:
    """Erase the persons to whom these rows belong, by the catalog's `erasure:`.  Nothing undoes it."""
    deployment = Deployment.chosen()
    if as_json and not yes:
        raise click.UsageError("--json asks nothing, so it needs --yes.")
    named = [_row(text) for text in rows]
    parts = [EraseAsked(rows=tuple(named[at : at + _AT_ONCE]), why=why) for at in range(0, len(named), _AT_ONCE)]
    if not yes:
        for part in parts:
            _show(deployment.ask("erase-preview", part, Preview, patient=True))
        click.echo("No rollback, no later run and no restored backup of the target brings these values back.")
        click.confirm("Erase them?", abort=True)
    done = [deployment.ask("erase", part, Certificate, patient=True) for part in parts]
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in done]))
    for one in done if not as_json else ():
        click.echo(_line(one))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def erasures(as_json: bool) -> None:
    """List the certificates of what was erased, and by whom; they name no key and no value."""
    found = Deployment.chosen().ask("erasures", ErasuresAsked(), Certificates).certificates
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    for one in found:
        click.echo(_line(one))
    if not found:
        click.echo("Nobody was erased.")


def _row(text: str) -> Named:
    match = _ROW.fullmatch(text)
    if match is None:
        raise click.UsageError(f"{text} names no row: write patients:4711, or entity/source:key.")
    return Named(entity=match["entity"], source=match["source"] or "", key=tuple(map(int, match["key"].split(","))))


def _show(preview: Preview) -> None:
    for word, counts in (
        ("Deleted", preview.delete), ("Pseudonymised", preview.pseudonymise), ("Kept as they are", preview.keep),
    ):  # fmt: skip
        click.echo(f"{word}: {_counts(counts)}.")


def _line(one: Certificate) -> str:
    why = f" ({one.why})" if one.why else ""
    return (
        f"{_WORDS[one.kind]} {one.number}, {one.at[:19]}Z by {one.by}{why}: deleted {_counts(one.deleted)};"
        f" pseudonymised {_counts(one.pseudonymised)}; never written again {_counts(one.suppressed)}; forgotten by our"
        f" records {_counts(one.scrubbed)}."
    )


def _counts(counts: Mapping[str, int]) -> str:
    parts: Sequence[str] = [f"{count:,} {name}" for name, count in counts.items()]
    return ", ".join(parts) or "nothing"


commands: list[click.Command] = [erase, erasures]
