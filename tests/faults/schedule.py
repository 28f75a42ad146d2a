"""Which fault happens when: a pure function of the seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong. All last for a while and then end, but those that are over at once."""

    WORKER_KILLED = "worker killed"  # kill -9; started again afterwards
    WORKER_FROZEN = "worker frozen"  # SIGSTOP: a zombie, once others have taken its partitions
    WORKER_LEAVES = "worker leaves"  # SIGTERM; started again afterwards
    WORKER_JOINS = "worker joins"  # one more for a while
    POSTGRES_KILLED = "postgres killed"  # kill -9, and immediate recovery
    POSTGRES_FROZEN = "postgres frozen"
    POSTGRES_FAILOVER = "postgres failover"  # every connection terminated
    POSTGRES_LOCKED = "postgres locked"  # a foreign transaction holds rows that batches need
    POSTGRES_CUT = "postgres cut"  # in mid-transfer
    POSTGRES_UNREACHABLE = "postgres unreachable"
    QDRANT_FROZEN = "qdrant frozen"
    QDRANT_ERRORS = "qdrant errors"  # 500, 503 or 429
    QDRANT_SLOW = "qdrant slow"
    QDRANT_MUTE = "qdrant mute"  # applies the write, and its reply is lost
    QDRANT_UNREACHABLE = "qdrant unreachable"
    KAFKA_KILLED = "kafka killed"  # kill -9; started again afterwards
    KAFKA_FROZEN = "kafka frozen"
    KAFKA_CUT = "kafka cut"
    KAFKA_SLOW = "kafka slow"
    KAFKA_UNREACHABLE = "kafka unreachable"

    @property
    def server(self) -> str:
        """What it happens to: worker, postgres, qdrant or kafka."""
        return self.value.split()[0]


# Longest seconds. What a client's or a session's time-out notices must last longer than that.
LONGEST: Mapping[Kind, float] = {
    Kind.WORKER_KILLED: 4, Kind.WORKER_FROZEN: 16, Kind.WORKER_LEAVES: 3, Kind.WORKER_JOINS: 15,
    Kind.POSTGRES_KILLED: 0, Kind.POSTGRES_FROZEN: 8, Kind.POSTGRES_FAILOVER: 0, Kind.POSTGRES_LOCKED: 6,
    Kind.POSTGRES_CUT: 0, Kind.POSTGRES_UNREACHABLE: 8,
    Kind.QDRANT_FROZEN: 8, Kind.QDRANT_ERRORS: 6, Kind.QDRANT_SLOW: 6, Kind.QDRANT_MUTE: 6,
    Kind.QDRANT_UNREACHABLE: 8,
    Kind.KAFKA_KILLED: 3, Kind.KAFKA_FROZEN: 10, Kind.KAFKA_CUT: 0, Kind.KAFKA_SLOW: 6,
    Kind.KAFKA_UNREACHABLE: 10,
}  # fmt: skip
# On servers that are not ours to stop.
THROUGH_PROXIES = frozenset(Kind) - {
    Kind.POSTGRES_KILLED, Kind.POSTGRES_FROZEN, Kind.QDRANT_FROZEN, Kind.KAFKA_KILLED, Kind.KAFKA_FROZEN,
}  # fmt: skip
UNREACHABLE = ("refusing", "hanging-up", "silent", "half-open", "stalled")
STATUSES = (500, 503, 429)
REST_SECONDS = 2.0  # in which what has come back is left alone


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins and how long it lasts, in seconds; `which` worker; `how` exactly."""

    at_seconds: float
    kind: Kind
    seconds: float
    which: int = 0
    how: str | int = ""

    @property
    def target(self) -> str:
        """What it happens to; a worker that joins is none of those that are there."""
        which = (
            f" {self.which}" if self.kind.server == "worker" and self.kind is not Kind.WORKER_JOINS else ""
        )
        return f"{self.kind.server}{which}"

    def __str__(self) -> str:
        lasts = f" for {self.seconds:g} s" if self.seconds else ""
        how = f" ({self.how})" if self.how != "" else ""
        return f"{self.at_seconds:6.1f} s  {self.target} {self.kind.value.split()[1]}{how}{lasts}"


def schedule(
    seed: int, seconds: float, kinds: frozenset[Kind], *, workers: int, mean_gap_seconds: float
) -> list[Fault]:
    """Faults at random moments, several servers at a time, but one thing at a time to each of them."""
    return list(_faults(random.Random(seed), seconds, sorted(kinds), workers, mean_gap_seconds))


def _faults(
    chance: random.Random, seconds: float, kinds: list[Kind], workers: int, mean_gap_seconds: float
) -> Iterator[Fault]:
    at, free_at = 0.0, defaultdict[str, float](float)
    while (at := at + chance.expovariate(1 / mean_gap_seconds)) < seconds:
        kind = chance.choice(kinds)
        fault = Fault(round(at, 1), kind, _lasts(chance, kind), chance.randrange(workers), _how(chance, kind))
        if free_at[fault.target] <= at:
            free_at[fault.target] = at + fault.seconds + REST_SECONDS
            yield fault


def _lasts(chance: random.Random, kind: Kind) -> float:
    return round(LONGEST[kind] * chance.uniform(0.1, 1.0), 1)


def _how(chance: random.Random, kind: Kind) -> str | int:
    if kind.value.endswith("unreachable"):
        return chance.choice(UNREACHABLE)
    if kind is Kind.QDRANT_ERRORS:
        return chance.choice(STATUSES)
    if kind is Kind.POSTGRES_LOCKED:
        return chance.choice(("rows", "table", "deadlock"))
    if kind.value.endswith("cut"):
        return chance.randrange(20_000)  # bytes that still pass
    return ""
