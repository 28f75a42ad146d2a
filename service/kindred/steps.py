"""What the pipeline's three threads do with a batch, around the three steps of `sync.py`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import structlog

from kindred.counting import count_affected, count_records
from kindred.errors import Outage, PartitionsTripped
from kindred.events.breaker import Breaker
from kindred.events.source import Partition, Source
from kindred.history import trips
from kindred.history.connection import Database
from kindred.history.store import Affected, HistoryStore
from kindred.mailbox import Batch, Mailbox
from kindred.operations.lineage import Lineage
from kindred.operations.models import Models
from kindred.pipeline import Applied, Done
from kindred.sync import Embedded, Syncer
from kindred.tripped import Tripped

log = structlog.get_logger()

BUSY_PENDING_ROWS = 200
PENDING_INTERVAL_SECONDS = 1.0
DECISIONS_INTERVAL_SECONDS = 2.0
NOTHING = Applied(Batch((), {}), [])


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps are made of; composition.py puts it together."""

    source: Source
    mailbox: Mailbox
    tripped: Tripped
    breaker: Breaker
    syncer: Syncer
    history: HistoryStore
    database: Database
    models: Models
    lineage: Lineage


class WorkerSteps:
    """`next_batch` and `apply` are called by one thread, `embed` and `upsert` by one each."""

    def __init__(self, parts: Parts, batch_size: int) -> None:
        self._parts = parts
        self._batch_size = batch_size
        self._pending_under_way = False
        self._pending_read_at = 0.0
        self._decisions_read_at = 0.0

    def next_batch(self, timeout_seconds: float) -> Batch | None:
        """Pending rows in their turn, a few while clicks wait, then records: neither starves the other."""
        self._read_decisions()
        pending = self._pending_batch()
        return pending if pending is not None else self._parts.mailbox.take(timeout_seconds)

    def apply(self, batch: Batch) -> Applied:
        """Raises LostHistory where Postgres has come back without what it had (rule 27)."""
        if batch.is_empty or not self._parts.source.owns(batch.epochs):
            return NOTHING
        if batch.claims:
            return self._begin(batch)
        try:
            return Applied(batch, self._parts.syncer.apply(batch.records, batch.pending, batch.begins))
        except PartitionsTripped as tripped:
            return self.apply(self._pause(tripped, batch))

    def embed(self, applied: Applied) -> list[Embedded]:
        return [self._parts.syncer.embed(self._written(affected)) for affected in applied.affected]

    def upsert(self, embedded: Embedded) -> None:
        self._parts.lineage.check_after_reconnect()
        self._parts.syncer.upsert(embedded)
        if embedded.affected.pending:
            self._pending_under_way = False

    def count(self, done: Done) -> None:
        """The polling thread may sleep for a second yet, so this is not left to it."""
        if done.applied.affected:  # else it was dropped with its epoch
            count_records(done.applied.batch.records, done.at_seconds)
        for affected in done.applied.affected:
            count_affected(affected)

    # Partitions that come, and those that the breaker pauses

    def _begin(self, batch: Batch) -> Applied:
        if unread := self._parts.lineage.check_claims(batch.claims):
            starts = {each: batch.claims[each].start for each in unread}
            self._parts.source.gaps.skip(unread, starts)
            self._parts.lineage.accept(starts)
        self._parts.breaker.begin(batch.claims, trips.accepted(self._parts.database))
        return NOTHING

    def _pause(self, tripped: PartitionsTripped, batch: Batch) -> Batch:
        """What is left of the batch: the other partitions, and what a person has accepted of these."""
        for partition, reason in tripped.reasons.items():
            accepted_until = self._parts.breaker.accepted.get(partition, 0)
            written_until = tripped.first_left.get(partition, 0)
            first = _first_offset(batch, partition, max(accepted_until, written_until))
            trips.note(self._parts.database, partition, first, reason)
        log.error("partition_paused", reason=str(tripped))
        self._parts.tripped.stop({each: batch.epochs[each] for each in tripped.partitions})
        return batch.without(tripped.partitions, self._parts.breaker.accepted)

    def _read_decisions(self) -> None:
        """Whether somebody has accepted the poison of a partition that is paused here."""
        now = time.monotonic()
        paused = self._parts.tripped.partitions
        if not paused or now - self._decisions_read_at < DECISIONS_INTERVAL_SECONDS:
            return
        self._decisions_read_at = now
        try:
            accepted = trips.accepted(self._parts.database)
        except Outage:
            return
        known = self._parts.breaker.accepted
        if decided := [each for each in paused if accepted.get(each, 0) > known.get(each, 0)]:
            self._parts.tripped.start(decided)

    # Pending rows, and models

    def _pending_batch(self) -> Batch | None:
        now = time.monotonic()
        if self._pending_under_way or now - self._pending_read_at < PENDING_INTERVAL_SECONDS:
            return None
        self._pending_read_at = now
        limit = self._batch_size if self._parts.mailbox.is_empty else BUSY_PENDING_ROWS
        try:
            pending = self._parts.history.take_pending(limit)
        except Outage:
            return None
        if not pending:
            return None
        self._pending_under_way = True
        self._pending_read_at = 0.0  # more may wait behind these
        return Batch((), {}, pending)

    def _written(self, affected: Affected) -> Affected:
        """For the models that there still are, which are loaded now."""
        return replace(affected, models=self._parts.models.require(affected.models))


def _first_offset(batch: Batch, partition: Partition, from_offset: int) -> int:
    """Of what is left where it is."""
    return next(
        each.offset
        for each in batch.records
        if (each.topic, each.partition) == partition and each.offset >= from_offset
    )
