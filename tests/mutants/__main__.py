"""`make mutants`: take each guard out of the engine, one by one, and see that a test notices.

Prints a line per mutant and `MUTANTS killed=… of …`; exits non-zero unless all are killed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from tests.conftest import clear, new_home
from tests.mutants.mutant import ROOT, Mutant, PatchError, copy_engine, mutants
from tests.mutants.trial import Trial, try_mutant, without_case

Try = Callable[[Mutant | None, Sequence[str]], Trial]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants by name; all without any")
    parser.add_argument("--jobs", type=int, default=2, help="trials at the same time (default 2)")
    options = parser.parse_args(arguments)
    try:
        chosen = _chosen(mutants(), options.names)
    except PatchError as error:
        print(error, file=sys.stderr)
        return 2
    with ExitStack() as stack:
        # One copy for all trials: what is edited meanwhile changes nothing.
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-")))
        copy_engine(ROOT, root)
        homes: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            home = new_home(f"mutants{job}")
            stack.callback(clear, home)
            homes.put(home)
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))

        def attempt(mutant: Mutant | None, tests: Sequence[str]) -> Trial:
            home = homes.get()
            try:
                return try_mutant(mutant, tests, root, home)
            finally:
                homes.put(home)

        return _judge(chosen, attempt, pool, options.jobs)


def _chosen(known: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    unknown = set(names) - {mutant.name for mutant in known}
    if unknown:
        raise PatchError(f"There is no mutant {', '.join(sorted(unknown))}: see tests/mutants/*.patch for the names.")
    return [mutant for mutant in known if not names or mutant.name in names]


def _judge(chosen: Sequence[Mutant], attempt: Try, pool: ThreadPoolExecutor, jobs: int) -> int:
    """Try every mutant and say what became of it; the exit code."""
    # The whole engine first, in as many parts as there are jobs: a test that fails anyway kills nothing.
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    parts = [part for part in (tests[n::jobs] for n in range(jobs)) if part]
    problems = list(_unfit(tests, pool.map(lambda part: attempt(None, part), parts)))
    if problems:
        print("The engine as it is does not pass these tests:", *problems, sep="\n  ", file=sys.stderr)
        return 2
    killed = 0
    for mutant, verdict in zip(chosen, pool.map(lambda mutant: _verdict(mutant, attempt), chosen), strict=True):
        killed += verdict.startswith("killed")
        print(f"{mutant.name}: {verdict}\n    breaks: {mutant.promise}", flush=True)
    print(f"MUTANTS killed={killed} of {len(chosen)}")
    return 0 if killed == len(chosen) else 1


def _unfit(tests: Sequence[str], trials: Iterable[Trial]) -> Iterator[str]:
    """Tests that do not pass on the whole engine, or that are not there."""
    seen: set[str] = set()
    for trial in trials:
        if trial.problem:
            yield trial.problem
            return
        yield from (f"{ended.test} ({ended.error or 'not run to its end'})" for ended in trial.failures)
        seen |= {name for ended in trial.ended for name in (ended.test, without_case(ended.test))}
    yield from (f"{test} (not found)" for test in tests if test not in seen)


def _verdict(mutant: Mutant, attempt: Try) -> str:
    try:
        trial = attempt(mutant, mutant.tests)
    except PatchError as error:
        return f"ERROR {error}"
    if trial.problem:
        return f"ERROR {trial.problem}"
    if trial.broken:
        first = trial.broken[0]
        return f"ERROR {first.test} failed with {first.error or 'an error outside the test'}, which proves nothing."
    killers = trial.killers(mutant)
    survived = [test for test in mutant.tests if test not in killers]
    if survived:
        return f"SURVIVED {', '.join(survived)}"
    return f"killed by {', '.join(killers)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
