"""The long-running loop: poll, hand over, commit what is searchable, and stop in good order."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from kindred import metrics
from kindred.errors import KindredError, Outage, PartitionsTripped
from kindred.events.schema import Record
from kindred.events.source import COMMIT_TIMEOUT_MS, Partition, Source
from kindred.health import Health
from kindred.history.store import Affected, HistoryStore
from kindred.mailbox import Batch, Mailbox
from kindred.operations.models import Models
from kindred.pipeline import Applied, Done, Pipeline
from kindred.sync import Embedded, Syncer

log = structlog.get_logger()

# SIGTERM to the end in 10 s: the batches under way, the last commit, leaving the group.
STOP_PATIENCE_SECONDS = 5.0
LAST_COMMIT_TIMEOUT_MS = 1_500
LAG_INTERVAL_SECONDS = 2.0
BUSY_PENDING_ROWS = 200
PENDING_INTERVAL_SECONDS = 1.0
MAILBOX_BATCHES = 4


@dataclass(slots=True)
class _Uncommitted:
    """What is searchable but not committed yet, with the epochs it was polled in."""

    offsets: dict[Partition, int]
    epochs: dict[Partition, int]


class Worker:
    """One member of the group. `run` returns when it was asked to stop, or raises why it must."""

    def __init__(
        self, source: Source, syncer: Syncer, history: HistoryStore, models: Models, health: Health,
        *, batch_size: int, drains_pending: threading.Event,
    ) -> None:  # fmt: skip
        self._source = source
        self._syncer = syncer
        self._history = history
        self._models = models
        self._health = health
        self._batch_size = batch_size
        self._drains_pending = drains_pending
        self._mailbox = Mailbox(batch_size, full_at=MAILBOX_BATCHES * batch_size)
        self._pipeline = Pipeline(self, health)
        self._tripped: queue.SimpleQueue[frozenset[Partition]] = queue.SimpleQueue()
        self._uncommitted = _Uncommitted({}, {})
        self._synced: dict[Partition, int] = {}
        self._synced_since = 0  # the assignment that `_synced` belongs to
        self._lineage_is_checked = True
        self._pending_under_way = False
        self._pending_read_at = 0.0
        self._lag_read_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. Raises the KindredError that a person must act on."""
        self._pipeline.start()
        try:
            while not stop.is_set() and self._pipeline.failure is None:
                self._turn(stop)
        finally:
            self._health.degraded("stopping", "the worker was asked to stop")
            self._pipeline.stop(STOP_PATIENCE_SECONDS)
            self._finish()
            self._source.close()
        if self._pipeline.failure is not None:
            raise self._pipeline.failure

    # The polling thread

    def _turn(self, stop: threading.Event) -> None:
        self._apply_back_pressure()
        try:
            self._mailbox.put(self._source.poll())
            self._commit()
            self._measure()
        except Outage as outage:
            log.warning("server_away", server=outage.server, stage="poll", reason=outage.reason)
            self._health.outage(outage.server, outage.reason)
            stop.wait(1.0)
        self._health.polled()
        self._stop_tripped_partitions()

    def _apply_back_pressure(self) -> None:
        if self._mailbox.is_full:
            self._source.pause()
        elif self._mailbox.is_low:
            self._source.resume()

    def _commit(self, timeout_ms: int = COMMIT_TIMEOUT_MS) -> None:
        """Commit what the pipeline has finished; what a rebalance took away is somebody else's now."""
        while not self._pipeline.done.empty():
            self._note_done(self._pipeline.done.get())
        if not self._uncommitted.offsets:
            return
        began = time.perf_counter()
        self._source.commit(self._uncommitted.offsets, self._uncommitted.epochs, timeout_ms)
        metrics.STAGE_SECONDS.labels("commit").inc(time.perf_counter() - began)
        self._uncommitted = _Uncommitted({}, {})

    def _note_done(self, done: Done) -> None:
        if self._source.owns(done.applied.batch.epochs):
            self._uncommitted.offsets |= done.applied.batch.next_offsets
            self._uncommitted.epochs |= done.applied.batch.epochs
            self._synced |= done.applied.batch.next_offsets

    def _finish(self) -> None:
        try:
            self._commit(LAST_COMMIT_TIMEOUT_MS)
        except KindredError as error:
            log.warning("commit_failed", reason=str(error), consequence="these records are delivered again")

    def _stop_tripped_partitions(self) -> None:
        while not self._tripped.empty():
            for partition in self._tripped.get():
                self._source.stop_partition(partition)
                self._health.degraded(f"{partition[0]}[{partition[1]}]", "paused: most records are poison")

    def _measure(self) -> None:
        joined = self._source.is_joined
        self._health.degraded("starting", None if joined else "the worker has not joined its group")
        if time.monotonic() - self._lag_read_at < LAG_INTERVAL_SECONDS:
            return
        self._lag_read_at = time.monotonic()
        metrics.REBALANCES.set(self._source.rebalances)
        metrics.REJOINS.set(self._source.rejoins)
        metrics.OFFSET_GAPS.set(self._source.gaps)
        lags = self._lag()
        # A poll that brings nothing says nothing: the client is as silent while the brokers are away.
        self._health.answered("kafka")
        metrics.LAG.clear()
        for partition, lag in lags.items():
            metrics.LAG.labels(partition[0], str(partition[1])).set(lag)

    def _lag(self) -> dict[Partition, int]:
        if self._synced_since != self._source.rebalances:  # others may have synced more meanwhile
            self._synced_since, self._synced = self._source.rebalances, {}
        ends = self._source.end_offsets()
        self._synced |= self._source.start_offsets(ends.keys() - self._synced.keys())
        return {partition: max(0, end - self._synced[partition]) for partition, end in ends.items()}

    # The pipeline's threads

    def next_batch(self, timeout_seconds: float) -> Batch | None:
        """Pending rows in their turn, a few while clicks wait, then records: neither starves the other."""
        pending = self._pending_batch()
        return pending if pending is not None else self._mailbox.take(timeout_seconds)

    def apply(self, batch: Batch) -> Applied:
        """Records of partitions that trip the breaker are left where they are; the others go on."""
        if not self._source.owns(batch.epochs) or not (batch.records or batch.pending):
            return Applied(Batch((), {}), [])
        try:
            return Applied(batch, self._apply(batch))
        except PartitionsTripped as tripped:
            log.error("partition_paused", reason=str(tripped))
            self._mailbox.refuse(tripped.partitions)
            self._tripped.put(tripped.partitions)
            return self.apply(batch.without(tripped.partitions))

    def _apply(self, batch: Batch) -> list[Affected]:
        """Raises LostHistory where Postgres has come back without what it had (rule 27)."""
        if not self._lineage_is_checked:
            self._models.check_lineage()
        self._lineage_is_checked = False
        affected = self._syncer.apply(batch.records, batch.pending)
        self._lineage_is_checked = True
        return affected

    def embed(self, applied: Applied) -> list[Embedded]:
        for affected in applied.affected:
            self._models.require(affected.models)
        return [self._syncer.embed(affected) for affected in applied.affected]

    def upsert(self, embedded: Embedded) -> None:
        self._syncer.upsert(embedded)
        if embedded.affected.pending:
            self._pending_under_way = False

    def count(self, done: Done) -> None:
        """Metrics of a batch, as soon as it is searchable: the polling thread may sleep for a second yet."""
        if done.applied.affected:  # else it was dropped with its epoch
            _count_records(done.applied.batch.records, done.at_seconds)
        for affected in done.applied.affected:
            _count_affected(affected)

    def _pending_batch(self) -> Batch | None:
        now = time.monotonic()
        idle = now - self._pending_read_at < PENDING_INTERVAL_SECONDS
        if idle or self._pending_under_way or not self._drains_pending.is_set():
            return None
        self._pending_read_at = now
        try:
            pending = self._history.pending(self._batch_size if self._mailbox.is_empty else BUSY_PENDING_ROWS)
        except Outage:
            return None
        if not pending:
            return None
        self._pending_under_way = True
        self._pending_read_at = 0.0  # more may wait behind these
        return Batch((), {}, pending)


def _count_records(records: Sequence[Record], searchable_at_seconds: float) -> None:
    metrics.BATCHES.inc()
    metrics.BATCH_RECORDS.observe(len(records))
    if records:
        stamps = np.array([record.timestamp_ms for record in records], np.float64)
        metrics.FRESHNESS.observe(np.maximum(searchable_at_seconds - stamps / 1000, 0.0))
    for topic, number in Counter(record.topic for record in records).items():
        metrics.RECORDS.labels(topic).inc(number)


def _count_affected(affected: Affected) -> None:
    metrics.INTERACTIONS.labels("fresh").inc(affected.fresh)
    metrics.INTERACTIONS.labels("duplicate").inc(affected.duplicates)
    metrics.INTERACTIONS.labels("dropped").inc(affected.dropped)
    metrics.USERS_EMBEDDED.inc(len(affected.histories))
    metrics.POINTS.labels("user").inc(len(affected.histories) * len(affected.models))
    metrics.POINTS.labels("item").inc(len(affected.items) * len(affected.models))
    metrics.POINTS.labels("tombstone").inc(len(affected.erased) + len(affected.removed_items))
    for reason, number in affected.dead_letters.items():
        metrics.DEAD_LETTERS.labels(reason).inc(number)
    for name, number in affected.event_types.items():
        metrics.EVENTS.labels(name).inc(number)
