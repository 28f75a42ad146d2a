"""`kindred worker` as a process of its own, seen from outside: its /readyz and its /metrics."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from kindred.local.processes import ChildProcess, free_port

READY_TIMEOUT_SECONDS = 60.0
_HTTP_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of a worker at one moment; `at_seconds` on the monotonic clock."""

    at_seconds: float
    records: int  # synced and committed
    dead_letters: int
    bounds_seconds: NDArray[np.float64]  # (b,) of the freshness histogram
    fresher: NDArray[np.float64]  # (b,) records at or under each bound


class WorkerProcess:
    """A running worker. Every question raises Misconfigured, with its last words, once it has ended."""

    def __init__(self, process: ChildProcess, port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}"

    def wait_until_ready(self) -> None:
        """Return once it has joined its group and reaches every server."""
        self._process.wait_until(self._is_ready, READY_TIMEOUT_SECONDS)

    def sample(self) -> Sample:
        """Read /metrics."""
        try:
            page = self._get("/metrics")
        except OSError:
            self._process.wait_until(lambda: False, timeout_seconds=0.5)  # raises with the log's end
            raise
        return parse(page, time.monotonic())

    def _is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except OSError:  # not listening yet, or 503 with reasons
            return False
        return True

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._url + path, timeout=_HTTP_TIMEOUT_SECONDS) as answer:
            return str(answer.read().decode())


@contextmanager
def started(folder: Path) -> Iterator[WorkerProcess]:
    """A worker with this process's settings, ready; stopped with SIGTERM at the end."""
    port = free_port()
    with ChildProcess(
        "The worker",
        [sys.executable, "-m", "kindred.cli", "worker"],
        log=folder / "worker.log",
        environment={"KINDRED_WORKER__HTTP_HOST": "127.0.0.1", "KINDRED_WORKER__HTTP_PORT": str(port)},
    ) as process:
        worker = WorkerProcess(process, port)
        worker.wait_until_ready()
        yield worker


def parse(page: str, at_seconds: float) -> Sample:
    """A page of /metrics in Prometheus' text format."""
    totals = {"kindred_records_total": 0.0, "kindred_dead_letters_total": 0.0}
    fresher: dict[float, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in totals:
                totals[sample.name] += sample.value
            elif sample.name == "kindred_freshness_seconds_bucket":
                fresher[float(sample.labels["le"])] = sample.value
    bounds = sorted(fresher)
    return Sample(
        at_seconds,
        int(totals["kindred_records_total"]),
        int(totals["kindred_dead_letters_total"]),
        np.array(bounds),
        np.array([fresher[bound] for bound in bounds]),
    )


def freshness_ms(before: Sample, after: Sample, share: float) -> float | None:
    """Quantile of the records between two samples, interpolated within a bucket; None without records."""
    counts = after.fresher - (before.fresher if len(before.fresher) else 0.0)
    if not len(counts) or counts[-1] <= 0:
        return None
    finite = after.bounds_seconds[:-1]  # the last bucket has no upper bound: its lower one stands for it
    milliseconds = np.interp(share * counts[-1], np.append(0.0, counts[:-1]), np.append(0.0, finite * 1000))
    return float(milliseconds)
