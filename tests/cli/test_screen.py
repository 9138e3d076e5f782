"""At 80 columns no id, key or command is broken, and a good run ends in about a dozen lines."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

from hybrid_sync.report.model import Counts, EntitySummary, RunSummary, StateFailure
from hybrid_sync.report.standing import Sum
from hybrid_sync_cli import result, screen
from hybrid_sync_cli.ending import CHANGED_SHOWN, ending
from hybrid_sync_cli.screen import Sheet, program, wrapped
from hybrid_sync_cli.tables import report
from tests.report.summaries import conservation, entity, failed_entity, line, missed_cause, run

RUN = "weekly-20261126T152800-4fc1d2"
TITLES = ("Payments", "System messages", "Treatment plans", "Order states", "Case messages", "Offices", "Profiles")


def good(**changed: object) -> RunSummary:
    """A week of seven components with nothing wrong."""
    every = conservation(stale=0, absent=0, current=17_229, pending_deletes=0)
    entities = tuple(
        entity(
            title.lower().replace(" ", "_"), title=title, conservation=every,
            counts=Counts(read=100 * n, inserted=10 * n, updated=20 * n),
        )
        for n, title in enumerate(TITLES)
    )  # fmt: skip
    return run(**{"run_id": RUN, "entities": entities, "missed": (), "past": (), **changed})


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_a_good_run_ends_in_a_dozen_lines_of_80_columns() -> None:
    lines = list(ending(good(), 80))

    assert len(lines) <= 14, lines
    assert max(map(len, lines)) <= 80
    assert lines[:4] == [
        f"Run {RUN}: succeeded in 8.0 s",
        "  current: 100.00 % (120,603 of 120,603 rows)",
        "  rows, references and money add up: yes",
        "  read 2,100, inserted 210, updated 420, unchanged 0, deleted 0, failed 0",
    ]
    shown = [one for one in lines if one.strip().startswith(TITLES)]
    assert [one.split("  ")[1] for one in shown] == ["Profiles", "Offices", "Case messages", "Order states"]
    assert "and 2 components more with 90 rows; all of it: " in words(lines)
    assert lines[-1].endswith(f"report {RUN}")


def test_components_in_which_nothing_happened_are_not_shown() -> None:
    quiet = entity("quiet", title="Quiet one", counts=Counts(read=5, unchanged=5))

    assert "Quiet one" not in words(list(ending(good(entities=(quiet,)), 80)))


def test_causes_come_last_each_once_with_its_remedy() -> None:
    missed = tuple(
        missed_cause(entity=name, title=name.capitalize(), reason="unknown_enum", records=records, new=1)
        for name, records in (("orders", 3), ("patients", 2))
    )
    lines = list(ending(good(missed=missed), 80))

    text = words(lines)
    assert text.count("Add the code to `values`, or repair the row.") == 1
    assert text.endswith(
        "unknown_enum: 3 of Orders, 1 new (payment:7, payment:8) and 2 of Patients, 1 new (payment:7, payment:8): "
        "Add the code to `values`, or repair the row."
    )
    assert max(map(len, lines)) <= 80


def test_failed_records_that_are_known_and_tolerated_are_counted_and_not_told_again() -> None:
    text = words(list(ending(good(missed=(missed_cause(new=0),)), 80)))

    assert "3 failed records, known before: " in text
    assert "missing_parent" not in text


def test_what_went_wrong_stands_before_what_changed_however_much_it_is() -> None:
    broken = [failed_entity(f"broken_{n}", "Its table lacks a column.") for n in range(CHANGED_SHOWN + 2)]
    told = good(
        status="failed", entities=(*good().entities, *broken),
        failures=(StateFailure(entity="orders", state="SyncBatch", error="contention", cause="Busy."),) * 2,
    )  # fmt: skip
    lines = list(ending(told, 80))

    first = next(n for n, one in enumerate(lines) if one.split()[0] == "component")
    shown = [one.split()[0] for one in lines[first + 2 :] if one.startswith("  broken_")]
    assert shown == [e.entity for e in broken]
    assert words(lines).count("contention (orders): Busy.") == 1
    assert words(lines).endswith("broken_4 and broken_5): Its table lacks a column.")


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_word_of_a_table_is_broken_at_any_width(columns: int) -> None:
    head = ("run", "status", "started", "read", "why")
    rows = [(RUN, "succeeded", "2026-11-26 15:28", "1,204", "a sentence that goes on and on until it has to wrap")]
    sheet = Sheet(head, rows, right=("read",), spare=("started",))

    lines = sheet.lines(columns)
    assert max(map(len, lines)) <= columns
    said = words(lines).split()
    assert RUN in said and "1,204" in [word.rstrip(";") for word in said]
    assert ("started" in said) is (columns != 60)  # the first to go; a paragraph of 40 has room for it


def test_a_report_of_80_columns_breaks_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    money = (line("total", "USD", "8560000.00", target="8560001.00", status="paid"),)

    report(run(run_id=RUN, entities=(entity(money=money), entity("order_states"))), Console(file=out, width=80))

    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert RUN in out.getvalue() and "payment:7" in words(lines)
    assert words(lines).endswith("Add the code to `values`, or repair the row.")  # what to do comes last


def test_a_file_keeps_a_sentence_whole_and_a_screen_gets_it_in_lines() -> None:
    sentence = f"Run {RUN} is undone by rollback-{RUN}-1: 12 rows put back, 3 deleted, none brought back."

    assert wrapped(sentence, None) == [sentence]
    assert [one.strip() for one in wrapped(sentence, 50)] == [
        f"Run {RUN} is undone by", f"rollback-{RUN}-1: 12", "rows put back, 3 deleted, none brought back.",
    ]  # fmt: skip


def test_an_error_stays_one_line_where_no_terminal_is_whatever_columns_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hybrid_sync_cli.main import main

    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit):
        main(["--region", "eu", "status"])
    assert capsys.readouterr().err.count("\n") == 1


def test_an_error_has_the_lines_of_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, os.fdopen(leader):
        monkeypatch.setattr(sys, "stderr", terminal)
        assert screen.width(err=True) == 40


def test_a_terminal_tells_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, os.fdopen(leader):
        monkeypatch.setattr(sys, "stdout", terminal)
        assert screen.width() is None  # one that knows no width is taken for a file
        import fcntl
        import struct
        import termios

        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 91, 0, 0))
        assert screen.width() == 91


def test_a_command_is_printed_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "bin" / "hybrid-sync"
    own.parent.mkdir()
    own.write_text("")
    own.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(own)])
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "bin/hybrid-sync"
    monkeypatch.setenv("PATH", f"{own.parent}{os.pathsep}/nowhere")
    assert program() == "hybrid-sync"
    monkeypatch.setenv("MAKELEVEL", "1")  # make's own commands find more than the shell that called it
    assert program() == "bin/hybrid-sync"
    with click.Context(click.Command("x")) as context:
        context.params = {"stack": "hybrid sync", "region": "eu-central-1", "profile": None}
        assert program() == "bin/hybrid-sync --stack 'hybrid sync' --region eu-central-1"


FOUND = {"ok": True, "runs": [{"run_id": RUN}], "steps": {"up": 1.25, "sample": 2.0}}


def test_the_result_is_one_line_and_its_json_lies_in_a_private_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path))

    result.announce(FOUND, result.in_a_word(0))

    file = tmp_path / result.FILE
    assert capsys.readouterr().out == f"RESULT ok runs=1 seconds=3.2 file={file}\n"
    assert json.loads(file.read_text()) == FOUND
    assert file.stat().st_mode & 0o077 == 0
    assert [result.in_a_word(status) for status in (0, 3, 1, 130)] == ["ok", "degraded", "failed", "failed"]


def test_a_disk_that_takes_no_file_is_a_sentence_and_spoils_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / result.FILE).mkdir()  # nobody, not even root, may write a file there

    result.announce(FOUND, "ok")

    said = capsys.readouterr()
    assert re.fullmatch(r"The result could not be kept \(.+\): demo --json prints it\.\n", said.err)
    assert said.out == "RESULT ok runs=1 seconds=3.2 file=none\n"


def test_what_is_explained_says_how_much_money_it_is() -> None:
    money = (line("total", "USD", "8560000.00", target="8559000.00").model_copy(update={"equal": True}),)
    told = good(entities=(entity(money=money),))

    assert told.adds_up == Sum.explained
    assert "money of the failed records: USD 1,000.00" in words(list(ending(told, 80)))


def test_the_money_of_one_component_hides_nothing_of_another() -> None:
    def about(name: str, missing: str) -> EntitySummary:
        changed = line("total", "USD", missing, target="0.00").model_copy(update={"equal": True})
        return entity(name, money=(changed,))

    told = good(entities=(about("payments", "5.00"), about("refunds", "-5.00"), about("visits", "0.00")))

    assert "money of the failed records: USD 5.00 of payments; USD -5.00 of refunds" in words(list(ending(told, 80)))
