"""What a soak is made of, and what was measured in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.sampling import Sample, Table
from faults.trend import Trend

MOST_GROWTH = 0.01  # of the blocks in use at rest
MOST_AT_BURST = 1.1  # times what was resident before
MOST_NATIVE_GROWTH_MB = (
    5.0  # docs/reliability.md: 4 million records brought 3.6 MB, early on and not explained
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate`: the highest sustainable one, where it is known; 0: measure it."""

    seed: int
    seconds: float
    users: int
    items: int
    workers: int
    rate: float
    share: float
    burst_seconds: float
    mean_gap_seconds: float


@dataclass(frozen=True, slots=True)
class InUse:
    """Blocks of memory by Python's objects, and MB by everything else, after so many records."""

    sent: int
    blocks: float
    native_mb: float

    def grew(self, before: InUse) -> bool:
        return (
            self.blocks > (1 + MOST_GROWTH) * before.blocks
            or self.native_mb > before.native_mb + MOST_NATIVE_GROWTH_MB
        )


@dataclass(slots=True)
class Result:
    """What was measured. Rates are records a second."""

    plan: Plan
    servers: dict[str, str]
    highest_rate: float = 0.0
    events: int = 0
    faults: list[str] = field(default_factory=list)
    memory: Trend | None = None  # resident, of the first worker
    before: InUse | None = None  # by the first worker at rest, and after the soak
    after: InUse | None = None
    memory_at_burst_mb: tuple[float, float] = (0.0, 0.0)  # before, and the most until the backlog had gone
    highest_lag: int = 0
    burst_rate: float = 0.0  # that the producer reached
    burst_lag: int = 0  # at most
    burst_seconds: float = 0.0  # from its first record until the last was searchable
    lag_left: int = 0
    settled_after_seconds: float = 0.0
    differing: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)  # in the end
    samples: list[Sample] = field(default_factory=list)

    @property
    def faulty(self) -> list[str]:
        """What was not as it must be: nothing lost, nothing left, nothing that grows without end.

        Resident memory during the soak is told and not judged: it is what the largest backlog so far needed,
        in whatever pieces the C library had.
        """
        found = [*self.differing, *(f"{table.name} is bloated" for table in self.tables if table.is_bloated)]
        before, most = self.memory_at_burst_mb
        if self.lag_left:
            found.append(f"lag {self.lag_left:,} is left")
        if self.before is None or self.after is None:
            found.append("the worker does not tell what it has in use")
        elif self.after.grew(self.before):
            found.append("more is in use at rest than before")
        if most > MOST_AT_BURST * before:
            found.append(f"the burst took memory from {before:.0f} to {most:.0f} MB")
        return found
