"""`make chaos`: workers and servers are killed, frozen, cut off and slowed down at random; is the end right?

    make chaos ARGS="--minutes 10 --seed 7"

The seed determines the schedule of faults, which is printed. The last line says how many faults were
injected into how many events, and "equal", or what differs from what the records determine (oracle.py).
Servers: see cluster.py. Writes build/chaos.json and leaves the workers' logs in build/chaos/.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.breaking import Breaking, Say
from faults.cluster import Cluster, cluster
from faults.judging import judged
from faults.schedule import schedule
from faults.traffic import Traffic, flowing
from faults.workload import Workload
from running import eventually, one
from servers.namespace import PARTITIONS

FLOOR_IS_KNOWN = "SELECT isfinite(retention_floor) FROM lineage"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of. `only`: kinds of faults whose name holds this."""

    seed: int
    seconds: float
    workers: int = 3
    rate: float = 100.0  # records a second
    users: int = 20_000  # many: a user who gets an event again is mended by it, and nothing is seen
    items: int = 100
    mean_gap_seconds: float = 2.5
    only: str = ""
    dtype: str = "float32"  # of the workers


@dataclass(slots=True)
class Outcome:
    """What a run was and what came of it. `differing` empty: equal."""

    seed: int
    servers: dict[str, str]
    faults: list[str] = field(default_factory=list)
    by_kind: dict[str, int] = field(default_factory=dict)
    events: int = 0
    barriers: int = 0
    seconds: float = 0.0
    settled_after_seconds: float = 0.0
    differing: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not self.differing

    def __str__(self) -> str:
        said = f"seed {self.seed}: {len(self.faults)} faults injected, {self.events:,} events"
        return f"{said}: equal" if self.is_equal else f"{said}: DIFFERS: {' | '.join(self.differing)}"


def run(plan: Plan, folder: Path, say: Say = print) -> Outcome:
    """Start everything, break it for a while, let it recover, and compare. Workers' logs go to `folder`."""
    with cluster(folder, plan.workers, dtype=plan.dtype) as made:
        eventually(lambda: one(made.direct, FLOOR_IS_KNOWN))
        say(f"servers: {made.source}; {plan.workers} workers; seed {plan.seed}")
        outcome = Outcome(plan.seed, made.source)
        with flowing(Traffic(made.direct, _workload(plan), plan.rate)) as traffic:
            _break(plan, made, traffic, outcome, say)
        outcome.events, outcome.barriers = traffic.sent - traffic.lost, len(traffic.barriers)
        if outcome.is_equal:
            outcome.settled_after_seconds, outcome.differing = judged(made, traffic.barriers, say)
    return outcome


def _workload(plan: Plan) -> Workload:
    return Workload(plan.seed, plan.users, plan.items, PARTITIONS, lambda: time.time_ns() // 1_000_000)


def _break(plan: Plan, made: Cluster, traffic: Traffic, outcome: Outcome, say: Say) -> None:
    kinds = frozenset(kind for kind in made.kinds if plan.only in kind.value)
    faults = schedule(
        plan.seed, plan.seconds, kinds, workers=plan.workers, mean_gap_seconds=plan.mean_gap_seconds
    )
    breaking = Breaking(made, threading.Event(), say, status=lambda: f"{traffic.sent:,} events")
    began = time.monotonic()
    breaking.run(faults, plan.seconds)
    outcome.seconds = time.monotonic() - began
    outcome.faults = [str(fault) for fault in breaking.injected]
    outcome.by_kind = dict(Counter(fault.kind.value for fault in breaking.injected))
    outcome.differing = breaking.wrong


def main() -> int:
    options = _options()
    folder = Path(options.logs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = Plan(
        options.seed, 60 * options.minutes, options.workers, options.rate, options.users, options.items,
        options.gap, options.only, options.dtype,
    )  # fmt: skip
    try:
        outcome = run(plan, folder, say=lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        print("interrupted: everything was stopped")
        return 130
    Path(options.json).write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    print(outcome)
    return 0 if outcome.is_equal else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Breaks Kindred at random and looks whether it ends right.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100.0, help="records a second")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--gap", type=float, default=2.5, help="mean seconds between faults")
    parser.add_argument("--only", default="", help='kinds of faults, such as "postgres" or "killed"')
    parser.add_argument("--dtype", default="float32", help="bfloat16: vectors are compared by their cosine")
    parser.add_argument("--json", default="build/chaos.json")
    parser.add_argument("--logs", default="build/chaos")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
