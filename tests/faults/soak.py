"""`make soak`: half an hour at 70 % of the highest rate with faults now and then, then a burst.

    make soak ARGS="--minutes 30 --seed 7"

First every user gets some events, and backlogs are worked off as fast as they go: that is the highest rate,
unless --rate says it. Nobody kills the first worker: what it has in use at rest, before and after, is what is
judged. In the end records come at ten times that rate for some seconds; the backlog must go, and memory stay.
Printed, and written to build/soak.json: how memory went, the lag that is left, how the tables grow, and what
the oracle says. Producer, proxies and servers share the machine with the workers, so a rate means little
elsewhere.

The oracle reads all records, 2 KB of memory each. For half an hour take Apache Kafka (KINDRED_TEST_NATIVE=1,
Java and Maven): the embedded broker keeps everything in memory, and with some 4 million records in it answers
fetches with nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.breaking import Say
from faults.chaos import FLOOR_IS_KNOWN
from faults.cluster import cluster
from faults.sampling import Sampler
from faults.soak_phases import GREETINGS, Soak
from faults.soak_report import report
from faults.soak_result import Plan, Result
from faults.traffic import Traffic
from faults.workload import Workload
from running import eventually, one
from servers.namespace import PARTITIONS

# A usual installation, not one made to show faults soon: its Qdrant is Python, and may take seconds. But its
# tombstones are reaped after six minutes, so that as many go as come before memory is judged.
QDRANT = {"timeout_seconds": 10.0}
WORKER = {"batch_size": 2_000, "popularity_interval_seconds": 30.0, "max_batch_age_seconds": 15.0}


def run(plan: Plan, folder: Path, say: Say) -> Result:
    """All phases, one after another."""
    with cluster(folder, plan.workers, QDRANT, **WORKER) as made:
        eventually(lambda: one(made.direct, FLOOR_IS_KNOWN))
        say(f"servers: {made.source}; {plan.workers} workers; seed {plan.seed}")
        workload = Workload(
            plan.seed, plan.users, plan.items, PARTITIONS, lambda: time.time_ns() // 1_000_000,
            item_changes=0.02, greets=GREETINGS,
        )  # fmt: skip
        traffic = Traffic(made.direct, workload, rate=0.0)
        soak = Soak(plan, made, traffic, Sampler(made, traffic), Result(plan, made.source), say)
        traffic.start()
        soak.sampler.start()
        try:
            soak.run()
        except BaseException:
            traffic.abandon()
            raise
        finally:
            soak.sampler.stop()
    soak.result.samples = soak.sampler.samples
    return soak.result


def main() -> int:
    options = _options()
    folder = Path(options.logs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = Plan(
        options.seed, 60 * options.minutes, options.users, options.items, options.workers, options.rate,
        options.share, options.burst, options.gap,
    )  # fmt: skip
    try:
        result = run(plan, folder, lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        print("interrupted: everything was stopped")
        return 130
    Path(options.json).write_text(json.dumps(asdict(result), indent=1) + "\n")
    print("\n".join(report(result)))
    return 1 if result.faulty else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Half an hour under load; see the head of this file.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.0, help="the highest rate; 0: measure it")
    parser.add_argument("--share", type=float, default=0.7, help="of the highest rate, during the soak")
    parser.add_argument("--burst", type=float, default=10.0, help="seconds at ten times the rate; 0: none")
    parser.add_argument("--gap", type=float, default=60.0, help="mean seconds between faults")
    parser.add_argument("--json", default="build/soak.json")
    parser.add_argument("--logs", default="build/soak")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
