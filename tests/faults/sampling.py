"""Samples of a running cluster: memory of its workers, lag, sizes of the tables."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import psycopg
from psycopg import sql

from faults.cluster import Cluster
from faults.traffic import Traffic
from running import metric

INTERVAL_SECONDS = 5.0
MOST_BLOAT, SPARE_MB = 3.0, 20.0  # a table with its indexes: times the rows in it, and what is spare
LAG = "SELECT sum(next_offset)::bigint, (SELECT count(*) FROM pending_sync) FROM synced_offset"
# Indexes and TOAST included; partitions of the log count as one.
TABLES = """
SELECT regexp_replace(relname, '_(default|[0-9]+)$', '') AS name, sum(pg_total_relation_size(relid)) / 1e6
FROM pg_stat_user_tables WHERE schemaname = current_schema() GROUP BY 1
"""


SIZES = """
SELECT relname, pg_total_relation_size(relid) / 1e6
FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """`lag`: records that the broker has and Postgres has not. Resident memory in MB, by process id.

    In use by the first worker: `blocks` of memory by Python's objects, and `native_mb` by everything else;
    0 where it did not say.
    """

    at_seconds: float
    phase: str
    sent: int
    lag: int
    pending: int
    memory_mb: dict[int, float]
    blocks: float
    native_mb: float
    table_mb: dict[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """MB with indexes, TOAST and dead rows, and MB of the rows that are in it."""

    name: str
    mb: float
    rows_mb: float

    @property
    def is_bloated(self) -> bool:
        return self.mb > MOST_BLOAT * self.rows_mb + SPARE_MB


class Sampler:
    """On a thread of its own, from `start` to `stop`; a sample is left out while Postgres is away."""

    def __init__(self, made: Cluster, traffic: Traffic) -> None:
        self.samples: list[Sample] = []
        self.phase = ""
        self._made = made
        self._traffic = traffic
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> Sample:
        """One sample now. Raises psycopg.Error."""
        arrived = self._traffic.arrived
        with self._made.superuser() as connection:
            read, pending = connection.execute(LAG).fetchone() or (0, 0)
            table_mb = {name: float(mb) for name, mb in connection.execute(TABLES)}
        return Sample(
            time.monotonic() - self._began, self.phase, self._traffic.sent, max(0, arrived - (read or 0)),
            pending, self._memory_mb(), self._told("kindred_live_blocks"),
            self._told("kindred_native_bytes") / 1e6, table_mb,
        )  # fmt: skip

    def tables(self) -> list[Table]:
        """What all tables hold, partitions of the log one by one. Reads every row. Raises psycopg.Error."""
        with self._made.superuser() as connection:
            sizes = connection.execute(SIZES).fetchall()
            return [Table(name, float(mb), _rows_mb(connection, name)) for name, mb in sizes]

    def _memory_mb(self) -> dict[int, float]:
        found: dict[int, float] = {}
        for worker in self._made.workers:
            with suppress(psutil.NoSuchProcess):
                if (pid := worker.pid) is not None:
                    found[pid] = psutil.Process(pid).memory_info().rss / 1e6
        return found

    def _told(self, name: str) -> float:
        with suppress(httpx.TransportError):  # frozen
            return metric(self._made.workers[0].settings, name)
        return 0.0

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            with suppress(psycopg.Error):
                self.samples.append(self.look())


def _rows_mb(connection: psycopg.Connection[Any], table: str) -> float:
    query = sql.SQL("SELECT coalesce(sum(pg_column_size(t.*)), 0) / 1e6 FROM {} t")
    row = connection.execute(query.format(sql.Identifier(table))).fetchone()
    assert row is not None
    return float(row[0])


def of_process(samples: list[Sample], pid: int) -> tuple[list[float], list[float]]:
    """Times and memory of one process."""
    known: list[Any] = [(each.at_seconds, each.memory_mb[pid]) for each in samples if pid in each.memory_mb]
    return [at for at, _ in known], [mb for _, mb in known]
