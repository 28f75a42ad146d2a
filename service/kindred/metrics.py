"""Every metric of a worker, with unit and meaning; served on /metrics."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from kindred.memory import native_bytes

REGISTRY = CollectorRegistry()

INTERACTIONS = Counter(
    "kindred_interactions_total",
    "Interactions by outcome: fresh (entered a history), duplicate, dropped (of an erased user).",
    ["outcome"],
    registry=REGISTRY,
)
EVENTS = Counter("kindred_events_total", "Decoded events by type.", ["type"], registry=REGISTRY)
RECORDS = Counter(
    "kindred_records_total", "Records whose vectors are searchable, by topic.", ["topic"], registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "kindred_dead_letters_total", "Records that cannot be events, by reason.", ["reason"], registry=REGISTRY
)
USERS_EMBEDDED = Counter("kindred_users_embedded_total", "User vectors computed.", registry=REGISTRY)
POINTS = Counter(
    "kindred_points_written_total",
    "Points sent to Qdrant: user, item, tombstone.",
    ["kind"],
    registry=REGISTRY,
)
BATCHES = Counter("kindred_batches_total", "Batches synced.", registry=REGISTRY)
STAGE_SECONDS = Counter(
    "kindred_stage_seconds_total",
    "Seconds spent in each stage: postgres, embed, qdrant, commit.",
    ["stage"],
    registry=REGISTRY,
)
BATCH_RECORDS = Histogram(
    "kindred_batch_records",
    "Records a batch.",
    buckets=(1, 5, 20, 50, 100, 200, 500, 1000, 2000, 5000),
    registry=REGISTRY,
)
OUTAGES = Counter(
    "kindred_outages_total", "Attempts that failed because a server was away.", ["server"], registry=REGISTRY
)
LAG = Gauge("kindred_lag_records", "Records not synced yet.", ["topic", "partition"], registry=REGISTRY)
REBALANCES = Gauge("kindred_rebalances", "Assignments since the start.", registry=REGISTRY)
REJOINS = Gauge("kindred_rejoins", "Consumers recreated by the join watchdog.", registry=REGISTRY)
OFFSET_GAPS = Gauge(
    "kindred_offset_gaps", "Times that retention had deleted unread records.", registry=REGISTRY
)
PAUSED_PARTITIONS = Gauge(
    "kindred_paused_partitions",
    "Partitions that this worker does not read: the breaker has paused them, or they cannot be unpacked.",
    registry=REGISTRY,
)
LIVE_BLOCKS = Gauge(
    "kindred_live_blocks",
    "Blocks of memory that Python holds. What leaks raises the lowest of them, or of the native bytes; "
    "resident memory alone does not tell, for allocators keep what the largest backlog needed.",
    registry=REGISTRY,
)
LIVE_BLOCKS.set_function(sys.getallocatedblocks)
NATIVE_BYTES = Gauge(
    "kindred_native_bytes",
    "Bytes that the C library has handed out: tensors, buffers, larger objects of Python.",
    registry=REGISTRY,
)
NATIVE_BYTES.set_function(native_bytes)
ProcessCollector(registry=REGISTRY)  # process_resident_memory_bytes, process_open_fds, …
PENDING = Gauge("kindred_pending_syncs", "Rows of pending_sync.", registry=REGISTRY)
SWEEP_LAG_SECONDS = Gauge(
    "kindred_item_sweep_lag_seconds",
    "Age of the oldest item description that has not reached its holders.",
    registry=REGISTRY,
)

# 1 ms to a minute, each bound 1.2 times the last: fine enough to read a p99 from.
FRESHNESS_BOUNDS_SECONDS = tuple(round(0.001 * 1.2**step, 6) for step in range(61))


class Freshness(Collector):
    """Seconds from a record's own timestamp to its vectors being searchable, counted a batch at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: NDArray[np.int64] = np.zeros(len(FRESHNESS_BOUNDS_SECONDS) + 1, np.int64)
        self._sum_seconds = 0.0

    def observe(self, seconds: NDArray[np.float64]) -> None:
        """Count every record of a batch at once."""
        buckets = np.searchsorted(FRESHNESS_BOUNDS_SECONDS, seconds)
        with self._lock:
            self._counts += np.bincount(buckets, minlength=len(self._counts))
            self._sum_seconds += float(seconds.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        with self._lock:
            cumulative, total = np.cumsum(self._counts).tolist(), self._sum_seconds
        bounds = [*map(str, FRESHNESS_BOUNDS_SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "kindred_freshness_seconds",
            "Seconds from a record's timestamp to its vectors being searchable.",
            buckets=list(zip(bounds, cumulative, strict=True)),
            sum_value=total,
        )


FRESHNESS = Freshness()
REGISTRY.register(FRESHNESS)
