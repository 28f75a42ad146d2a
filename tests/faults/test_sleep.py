"""The lid of a laptop closes: workers and servers stop at once, and go on as if no time had passed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.chaos import FLOOR_IS_KNOWN
from faults.cluster import Cluster, cluster
from faults.judging import judged
from faults.traffic import Traffic, flowing
from faults.workload import Workload
from running import eventually, one
from servers.namespace import PARTITIONS

ASLEEP_SECONDS = 20.0  # longer than the session, every time-out, and the age at which a batch is given up
RECORDS = 500


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_everything_sleeps_and_wakes_again(tmp_path: Path) -> None:
    with cluster(tmp_path, workers=2) as made:
        eventually(lambda: one(made.direct, FLOOR_IS_KNOWN))
        workload = Workload(3, 2_000, 40, PARTITIONS, lambda: time.time_ns() // 1_000_000)
        with flowing(Traffic(made.direct, workload, rate=150)) as traffic:
            eventually(lambda: traffic.arrived > RECORDS)
            with asleep(made):
                time.sleep(ASLEEP_SECONDS)
            arrived = traffic.arrived
            eventually(lambda: traffic.arrived > arrived + RECORDS, seconds=60)
        _, differing = judged(made, traffic.barriers, print)
    assert differing == []


@contextmanager
def asleep(made: Cluster) -> Iterator[None]:
    """In mid-batch, whatever each of them is doing."""
    for worker in made.workers:
        worker.signal(signal.SIGSTOP)
    for server in made.servers.values():
        server.freeze()
    try:
        yield
    finally:
        for server in made.servers.values():
            server.thaw()
        for worker in made.workers:
            worker.signal(signal.SIGCONT)
