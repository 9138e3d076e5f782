"""`hybrid-sync report`: what a run did, on the terminal, for a machine, or as a page for everyone."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Callable
from pathlib import Path

import click

from hybrid_sync.report.document import Document
from hybrid_sync.report.markdown import markdown
from hybrid_sync.report.model import RunSummary, to_json
from hybrid_sync.report.story import never_began, story_of
from hybrid_sync.services.messages.runs import UnrecordedRun
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import report_of, run_named, summary_of, why_not
from hybrid_sync_cli.stack import home

_UNRECORDED: dict[str, Callable[[UnrecordedRun], str]] = {
    "html": lambda run: _page(_document(run)),
    "md": lambda run: markdown(_document(run)),
    "json": lambda run: json.dumps(run.report or {"run_id": run.run_id, "status": run.status}, indent=2) + "\n",
}
_WRITERS: dict[str, Callable[[RunSummary], str]] = {
    "html": lambda summary: _page(story_of(summary)),
    "md": lambda summary: markdown(story_of(summary)),
    "json": to_json,
}


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--format", "shape", type=click.Choice(["table", *_WRITERS]), default="table", show_default=True,
    help="html is one page that needs nothing else.",
)  # fmt: skip
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write there, not to the terminal.",
)
@click.option("--open", "opening", is_flag=True, help="Show the page in a browser; implies --format html.")
def report(run_id: str, shape: str, output: Path | None, opening: bool) -> None:
    """What a run did: components, money, missed records and what to do about them."""
    if opening:
        shape = "html"
    if output is not None and shape == "table":
        raise CliError("A table is made for the terminal: choose --format html, md or json for a file.")
    deployment = Deployment.chosen()
    run_id = run_named(deployment, run_id)
    found = report_of(deployment, run_id)
    summary, run = summary_of(found), found.unrecorded
    if shape == "table":
        if summary is not None:
            tables.report(summary, tables.console())
        elif run is not None:
            click.echo(f"Run {run_id}: {run.status}; the target has no record of it. {why_not(run)}".rstrip())
        return
    text = _WRITERS[shape](summary) if summary is not None else _UNRECORDED[shape](run) if run is not None else ""
    if output is None and not opening:
        click.echo(text, nl=False)
        return
    path = output or _kept(run_id)
    _write(path, text)
    click.echo(str(path))
    if opening and not webbrowser.open(path.resolve().as_uri()):
        raise CliError(f"No browser could be started here: open {path} yourself.")


def _document(run: UnrecordedRun) -> Document:
    """The report of a run that never began, or left none."""
    failure = (run.report or {}).get("failure") or {}
    text = f"Its execution ended as {run.status} and left no report." if not failure else str(failure["text"])
    return never_began(run.run_id, str(failure.get("code", run.status)), text)


def _page(document: Document) -> str:
    from hybrid_sync.report.page import page  # with the templates' engine, which no other shape needs

    return page(document)


def _kept(run_id: str) -> Path:
    """A page that nobody named lies with the stack, and goes with it."""
    folder = home.directory() / "reports"
    folder.mkdir(exist_ok=True)
    return folder / f"{run_id}.html"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} could not be written ({error.strerror}): choose another --output.") from None


commands: list[click.Command] = [report]
