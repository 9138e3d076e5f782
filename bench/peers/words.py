"""The results as tables: for a terminal, for the README, and for bench/README.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.peers import plot
from bench.peers.measure import PROJECT
from bench.peers.peer import Phase
from bench.peers.results import Results

BEGIN, END = "<!-- from bench/results.json -->", "<!-- to here -->"
_DOES = ("ids", "references", "constraints", "deletes", "journal", "verification")


def for_terminal(results: Results) -> Iterator[str]:
    """Medians of each phase, then the ratios."""
    columns = ("wall s", "CPU s", "client", "legacy", "target", "peak MB")
    yield f"\n{'median of ' + str(results['rounds']):41}" + "".join(f"{column:>8}" for column in columns)
    for phase in Phase:
        for name, phases in results["medians"].items():
            if phase in phases:
                values = "".join(f"{value:8.2f}" for value in phases[phase].values())
                yield f"{phase:7}{results['labels'][name]:34}{values}"
    for name, reason in results["missing"].items():
        yield f"without {name}: {reason}"
    for name, told in results["engine"].items():
        seconds = ", ".join(f"{step} {taken:.2f}" for step, taken in told["seconds"].items())
        yield f"{name}: {seconds}; {told['pages_read']} pages read, {told['pages_written']} written"
    yield ""
    yield from (
        f"{name:28}{_number(one['value']):>9}  {one['goal']:19}{_verdict(one['met']).strip('*')}"
        for name, one in results["goals"].items()
    )
    yield _circumstances(results)


def for_readme(results: Results) -> Iterator[str]:
    """Everybody's first load and delta, and what each did besides."""
    yield "| | first load, s | CPU, s | a day's changes, s | peak MB | did besides |"
    yield "|---|--:|--:|--:|--:|---|"
    for name, label in results["labels"].items():
        phases = results["medians"][name]
        if name in results["does"]:
            first, delta = phases["first"], phases.get("delta")
            did = ", ".join(what for what in _DOES if results["does"][name][what]) or "nothing: rows only"
            yield (
                f"| {label} | {first['wall']:.1f} | {first['cpu']:.1f} | {_seconds(delta)} |"
                f" {first['peak_mb']:.0f} | {did} |"
            )
    yield ""
    met = [name for name, one in results["goals"].items() if one["met"]]
    missed = [
        f"`{name}` {one['value']:g} ({one['goal']})" for name, one in results["goals"].items() if one["met"] is False
    ]
    yield (
        f"{results['rows']:,} rows over 12 tables, medians of {results['rounds']} alternating rounds;"
        f" {_circumstances(results)}."
    )
    yield f"Goals met: {len(met)} of {len(results['goals'])}{'; missed: ' + ', '.join(missed) if missed else ''}."


def for_bench_readme(results: Results) -> Iterator[str]:
    """Each ratio with its goal, and when it was measured."""
    yield "| ratio | is | goal | | measured |"
    yield "|---|--:|--:|---|---|"
    for name, one in results["goals"].items():
        noisy = ", beside other work" if one.get("noisy") else ""
        when = "" if one["value"] is None else f"{one['date']}, {one['commit']}{noisy}"
        yield f"| `{name}`: {one['says']} | {_number(one['value'])} | {one['goal']} | {_verdict(one['met'])} | {when} |"


PAGES: dict[str, Callable[[Results], Iterator[str]]] = {
    "README.md": for_readme, "bench/README.md": for_bench_readme
}  # fmt: skip


def page(text: str, lines: Iterator[str]) -> str:
    """The text with this between the marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def write_pages(results: Results, project: Path = PROJECT) -> None:
    """Bring the README's section, bench/README.md's and the plot up to date."""
    for name, said in PAGES.items():
        file = project / name
        file.write_text(page(file.read_text("utf-8"), said(results)), "utf-8")
    (project / plot.FILE).write_text(plot.drawn(results), "utf-8")


def _circumstances(results: Results) -> str:
    machine = results["machine"]
    noisy = " (a noisy machine: its seconds mean little, CPU does)" if results["noisy"] else ""
    return (
        f"{machine['processors']} × {machine['processor']}, PostgreSQL {results['versions']['postgresql']},"
        f" Python {results['versions']['python']}, {results['date']}, commit {results['commit']},"
        f" others used at most {results['others']:.0%} of the processors{noisy}"
    )


def _seconds(phase: dict[str, float] | None) -> str:
    return "–" if phase is None else f"{phase['wall']:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _verdict(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: "not measured"}[met]
