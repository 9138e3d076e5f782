"""Every mutant still fits the engine: its patch applies, and the tests that must notice it are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.mutant import ENGINE, PATCHES, ROOT, Mutant, PatchError, copy_engine, mutants, read
from tests.mutants.trial import try_mutant, without_case

FUNCTION = re.compile(r"^create (?:or replace )?(?:function|procedure) ([\w.]+)", re.MULTILINE)
DEEP = re.MULTILINE | re.DOTALL
MONEY = "tests/unit/test_money.py::test_a_cent_makes_a_difference"
BROKEN = """\
Promise: Nothing; this patch just breaks the code.
Killed-by: tests/unit/test_money.py::test_a_cent_makes_a_difference

--- a/layers/engine/hybrid_sync/compare/money.py
+++ b/layers/engine/hybrid_sync/compare/money.py
@@ -91,1 +91,2 @@
+    no_such_name()
     groups: set[Group] = {g for side in (ours, theirs) for way in (side.by_server, side.by_stream) for g in way}
"""


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_guard_is_where_its_patch_says(mutant: Mutant, tmp_path: Path) -> None:
    touched = re.findall(r"^\+\+\+ b/(.*)$", mutant.patch.read_text(), re.MULTILINE)
    assert touched
    for name in touched:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    mutant.apply(tmp_path)
    for name in touched:
        assert (tmp_path / name).read_text() != (ROOT / name).read_text()


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_the_tests_that_must_notice_it_are_there(mutant: Mutant) -> None:
    for test in mutant.tests:
        path, _, name = without_case(test).partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()


def test_and_so_are_their_cases() -> None:
    """A case that has got another name is one that never runs: the mutant could not be tried at all."""
    cases = {test for mutant in mutants() for test in mutant.tests if test != without_case(test)}
    files = sorted({case.partition("::")[0] for case in cases})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert cases <= set(collected.splitlines())


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_guard_in_sql_is_in_the_last_version_of_its_function(mutant: Mutant) -> None:
    """A later migration that makes the function anew would put the guard back, and the mutant would prove nothing."""
    migrations = {path.name: path.read_text() for path in sorted((ROOT / ENGINE).glob("**/migrations/*.sql"))}
    last = {function: file for file, text in migrations.items() for function in FUNCTION.findall(text)}
    for file, change in re.findall(r"^--- a/\S*/migrations/(\S+)$(.*?)(?=^--- |\Z)", mutant.patch.read_text(), DEEP):
        for hunk in re.split(r"^@@.*$", change, flags=re.MULTILINE)[1:]:
            guard = "\n".join(line[1:] for line in hunk.strip("\n").split("\n") if line[:1] in (" ", "-"))
            before = migrations[file][: migrations[file].find(guard.strip("\n")) + len(guard) // 2]
            assert not (found := FUNCTION.findall(before)) or last[found[-1]] == file, (
                f"{found[-1]} is in {last[found[-1]]}"
            )


def test_a_patch_whose_guard_has_moved_says_so(tmp_path: Path) -> None:
    copy_engine(ROOT, tmp_path)
    mutant = read(PATCHES / "run_check.patch")
    for name in re.findall(r"^\+\+\+ b/(.*)$", mutant.patch.read_text(), re.MULTILINE):
        (tmp_path / name).write_text("moved = True\n")
    with pytest.raises(PatchError, match="renew the patch"):
        mutant.apply(tmp_path)


def test_a_patch_without_a_promise_is_none(tmp_path: Path) -> None:
    patch = tmp_path / "nameless.patch"
    patch.write_text("Killed-by: tests/unit/test_money.py::test_a\n\n--- a/x\n+++ b/x\n")
    with pytest.raises(PatchError, match="Promise"):
        read(patch)


def test_the_installed_engine_is_never_taken_for_the_copy(tmp_path: Path) -> None:
    (tmp_path / ENGINE).mkdir(parents=True)
    assert "not the copy" in try_mutant(None, [MONEY], tmp_path, tmp_path).problem


def test_code_that_a_patch_broke_is_no_kill(tmp_path: Path) -> None:
    patch = tmp_path / "broken.patch"
    patch.write_text(BROKEN)
    mutant = read(patch)
    trial = try_mutant(mutant, mutant.tests, ROOT, tmp_path)
    assert ([ended.error for ended in trial.broken], trial.killers(mutant)) == (["NameError"], [])


def test_a_test_that_does_not_notice_is_no_killer(tmp_path: Path) -> None:
    mutant = read(PATCHES / "money_finite.patch")
    trial = try_mutant(mutant, [MONEY], ROOT, tmp_path)
    assert ([ended.how for ended in trial.ended], trial.killers(mutant)) == (["passed"], [])
