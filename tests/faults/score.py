"""What schedules did and found, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hybrid_sync.failpoints import POINTS
from tests.faults.oracle import Defect
from tests.faults.pool import Tally

_VERDICT = ("missed", "doubled", "reversed", "wrong_ids", "flattered", "returned")


@dataclass
class Score:
    """Of one episode, or of several added up."""

    tally: Tally = field(default_factory=Tally)
    schedules: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    zombies: int = 0
    cut: int = 0
    blind: int = 0
    rewinds: int = 0
    restores: int = 0
    """Days after which the target was restored to the morning."""
    erased: int = 0
    new_days: int = 0
    """Days on which tables were loaded for the first time."""
    undone: int = 0
    """Runs of such days that were rolled back."""
    broken: int = 0
    """Rows that people wrote meanwhile and that a foreign key does not let stand."""
    repairs: int = 0
    committed: int = 0
    acts: int = 0
    """What the owners of the databases did and took back."""
    swaps: int = 0
    """Pages of the id cache in which somebody swapped ids."""
    bound: int = 0
    """Episodes whose worker does not pass row security."""
    forged: int = 0
    """Wrong ids under a right seal that got into the target, and were told."""
    rival_writes: int = 0
    """Rows that weekly runs and runs of a few keys wrote, all wanting the same ones."""
    rival_runs: Counter[str] = field(default_factory=Counter)
    rival_crashes: int = 0
    rival_reversals: int = 0
    evenings: Counter[str] = field(default_factory=Counter)
    clean_runs: Counter[int] = field(default_factory=Counter)
    defects: list[tuple[int, int, Defect]] = field(default_factory=list)
    """(episode's seed, schedule in it, what)."""

    def add(self, other: Score) -> None:
        self.tally.add(other.tally)
        self.schedules += other.schedules
        self.runs += other.runs
        self.doubled += other.doubled
        self.zombies += other.zombies
        self.cut += other.cut
        self.blind += other.blind
        self.rewinds += other.rewinds
        self.restores += other.restores
        self.erased += other.erased
        self.new_days += other.new_days
        self.undone += other.undone
        self.broken += other.broken
        self.repairs += other.repairs
        self.committed += other.committed
        self.acts += other.acts
        self.swaps += other.swaps
        self.bound += other.bound
        self.forged += other.forged
        self.rival_writes += other.rival_writes
        self.rival_runs += other.rival_runs
        self.rival_crashes += other.rival_crashes
        self.rival_reversals += other.rival_reversals
        self.evenings += other.evenings
        self.clean_runs += other.clean_runs
        self.defects += other.defects

    def silent(self) -> list[str]:
        """Failpoints that never fired."""
        return [name for name in POINTS if not self.tally.fired[name]]

    def details(self) -> Iterator[str]:
        """How often each failpoint was hit, and what else happened."""
        tally = self.tally
        for name in POINTS:
            yield f"  {name:<24}{tally.passed[name]:>9} passed{tally.fired[name]:>7} hit"
        runs = ", ".join(f"{n} {status}" for status, n in sorted(self.runs.items()))
        yield f"runs: {runs}; backends terminated: {self.cut}; legacy commits beside them: {self.committed}"
        yield f"deliveries: {sum(tally.orders.values())}, doubled {self.doubled}, long after {self.zombies}"
        yield "failed deliveries: " + (", ".join(f"{name} {n}" for name, n in sorted(tally.errors.items())) or "none")
        yield (
            f"days of which the fence sees a part: {self.blind}; legacy rewound to a disk snapshot: {self.rewinds}; "
            f"the target restored to before a day's erasures: {self.restores}; "
            f"repairs of rows told as changed on both sides: {self.repairs}"
        )
        evenings = ", ".join(f"{name} {n}" for name, n in sorted(self.evenings.items())) or "none"
        yield (
            f"owners' changes of tables: {self.acts}; id cache pages with swapped ids: {self.swaps}, believed and "
            f"told: {self.forged}; episodes under row security: {self.bound}; evenings: {evenings}"
        )
        yield (
            f"days of first loads: {self.new_days}; parts made again: {tally.passed['bulk.made']};"
            f" their runs undone: {self.undone}; rows of people that broke a foreign key meanwhile: {self.broken};"
            f" not as before: {self._of('unmade')}"
        )
        clean = ", ".join(f"{n} after {runs}" for runs, n in sorted(self.clean_runs.items()))
        yield f"right after clean runs: {clean}; native rows touched: {self._of('touched')}; stuck: {self._of('stuck')}"

    def rivals(self) -> str:
        """Of weekly runs and runs of a few keys on the same rows."""
        return (
            f"RIVALS writes={self.rival_writes} weekly={self.rival_runs['weekly']}"
            f" on_demand={self.rival_runs['on_demand']} crashes={self.rival_crashes} reversals={self.rival_reversals}"
        )

    def verdict(self, seed: int) -> str:
        """The one line that says it all."""
        counts = " ".join(f"{kind}={self._of(kind)}" for kind in _VERDICT)
        return (
            f"FAULTS schedules={self.schedules} crashes={self.tally.crashes} {counts} erased={self.erased} seed={seed}"
        )

    def _of(self, kind: str) -> int:
        return sum(defect.kind == kind for _, _, defect in self.defects)
