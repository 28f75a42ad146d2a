"""Workers that die or are held at every step of a batch: late, twice or never, the end state is the same."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from faults import at_step
from faults.oracle import applied, differences, settled
from faults.traffic import Traffic
from faults.workload import Workload
from kindred.composition import opened
from kindred.history.partitions import expire
from kindred.local.processes import ChildProcess
from kindred.settings import Settings
from running import beside, environment, eventually, is_ready, prepare, privileged, running
from servers.namespace import PARTITIONS

PATIENCE_SECONDS = 60
RECORDS = 1_200
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "steps",
    [
        ["merged, not committed", "users upserted"],
        pytest.param(["decoded", "transaction committed", "embedded", "offsets committed"], marks=slow),
    ],
    ids=["two steps", "the other steps"],
)
@pytest.mark.timeout(240)
def test_one_worker_after_another_is_killed_at_a_step(
    settings: Settings, tmp_path: Path, steps: list[str]
) -> None:
    settings = prepare(settings, tmp_path, batch_size=50)
    with traffic_to(settings) as traffic:
        for step in steps:
            with worker_at(settings, step, signal.SIGKILL, tmp_path) as worker:
                assert worker.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        with running(beside(settings)):
            enough(traffic)
            settled(privileged(settings), PATIENCE_SECONDS)
    assert differences(privileged(settings), traffic.barriers) == []


@pytest.mark.parametrize(
    ("step", "max_batch_age_seconds", "held_seconds"),
    [
        ("embedded", 300, 0),  # its vectors come late, and lose against newer revisions
        # rule 7: it may have slept through an erasure and its reaping
        pytest.param("embedded", 3, 0, marks=slow),
        pytest.param("merged, not committed", 300, 0, marks=slow),  # it holds row locks that others wait for
        pytest.param("users upserted", 300, 0, marks=slow),  # its commit comes late
        pytest.param("embedded", 300, 20, marks=slow),  # past max.poll.interval as well
        pytest.param("users upserted", 300, 20, marks=slow),
    ],
)
@pytest.mark.timeout(240)
def test_a_zombie_is_held_until_others_have_gone_on(
    settings: Settings, tmp_path: Path, step: str, max_batch_age_seconds: float, held_seconds: float
) -> None:
    kafka = settings.kafka.model_copy(update={"max_poll_interval_ms": 15_000})
    settings = settings.model_copy(update={"kafka": kafka})
    settings = prepare(settings, tmp_path, batch_size=50, max_batch_age_seconds=max_batch_age_seconds)
    partner = beside(settings)
    with (
        traffic_to(settings) as traffic,
        worker_at(settings, step, signal.SIGSTOP, tmp_path) as zombie,
    ):
        eventually(lambda: is_held(zombie), PATIENCE_SECONDS)
        held_until = time.monotonic() + held_seconds
        with running(partner):
            eventually(lambda: is_ready(partner), PATIENCE_SECONDS)
            enough(traffic)
            applied(privileged(settings), PATIENCE_SECONDS)
            time.sleep(max(0.0, held_until - time.monotonic()))
            os.kill(zombie.pid, signal.SIGCONT)
            eventually(lambda: is_ready(settings), PATIENCE_SECONDS)
            settled(privileged(settings), PATIENCE_SECONDS)
    assert differences(privileged(settings), traffic.barriers) == []


def test_everything_is_delivered_again_after_erasures_and_new_lives(
    settings: Settings, tmp_path: Path
) -> None:
    """Tombstones come again after the profile that re-opened the id, clicks after the erasure."""
    settings = prepare(settings, tmp_path)
    with traffic_to(settings) as traffic, running(settings):
        enough(traffic)
        settled(privileged(settings), PATIENCE_SECONDS)
    kafka = settings.kafka.model_copy(update={"group_id": "another"})
    again = settings.model_copy(update={"kafka": kafka})
    with running(again):
        settled(privileged(again), PATIENCE_SECONDS)
    assert differences(privileged(again), traffic.barriers) == []


@contextmanager
def traffic_to(settings: Settings) -> Iterator[Traffic]:
    """Of everything that producers do, erasures and new lives among it."""
    with opened(settings) as servers:  # what is too old for the log must be known from the first event on
        expire(servers.database, datetime.now(UTC), settings.postgres.retention_days)
    workload = Workload(7, users=30, items=20, partitions=PARTITIONS, now_ms=now_ms)
    traffic = Traffic(privileged(settings), workload, rate=150)
    traffic.start()
    try:
        yield traffic
    finally:
        traffic.stop()


@contextmanager
def worker_at(
    settings: Settings, step: str, number: signal.Signals, folder: Path, turn: int = 3
) -> Iterator[ChildProcess]:
    command = [sys.executable, at_step.__file__, step, number.name, str(turn)]
    log = folder / f"{step}.log"
    with ChildProcess("worker", command, log=log, environment=environment(settings)) as worker:
        yield worker


def enough(traffic: Traffic) -> None:
    """So many records that every kind is among them; then the topics stand still."""
    eventually(lambda: traffic.arrived >= RECORDS, PATIENCE_SECONDS)
    traffic.stop()


def is_held(worker: ChildProcess) -> bool:
    assert worker.exit_code is None
    return psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED


def now_ms() -> int:
    return time.time_ns() // 1_000_000
