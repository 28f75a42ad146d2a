"""Where the polling thread leaves records, and the first step of the pipeline takes its batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from kindred.events.schema import Record
from kindred.events.source import Claim, Partition, Polled
from kindred.history.store import Pending

# Records are small; where a producer sends large ones, their number bounds no memory.
BATCH_BYTES = 16_000_000
FULL_AT_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Records with the epochs in which their partitions are owned; or claims; or pending rows.

    `begins`: the offset up to which Postgres must hold each partition already, see history/offsets.py.
    """

    records: Sequence[Record]
    epochs: Mapping[Partition, int]
    pending: Pending = field(default_factory=Pending)
    begins: Mapping[Partition, int] = field(default_factory=dict)
    claims: Mapping[Partition, Claim] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.records or self.pending or self.claims)

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """What to commit once the batch is searchable."""
        offsets: dict[Partition, int] = {}
        for record in self.records:
            offsets[record.topic, record.partition] = record.offset + 1
        return offsets

    def without(self, partitions: frozenset[Partition], but_before: Mapping[Partition, int]) -> Batch:
        """The same batch with nothing of these partitions, but what lies before these offsets."""
        kept = [
            each
            for each in self.records
            if (each.topic, each.partition) not in partitions
            or each.offset < but_before.get((each.topic, each.partition), 0)
        ]
        named = {(each.topic, each.partition) for each in kept}
        epochs = {each: epoch for each, epoch in self.epochs.items() if each in named}
        return Batch(kept, epochs, self.pending, self.begins)


class Mailbox:
    """Records between the polling thread and the first step. Thread-safe."""

    def __init__(self, batch_size: int, full_at: int, batch_bytes: int = BATCH_BYTES) -> None:
        self._batch_size = batch_size
        self._full_at = full_at
        self._batch_bytes = batch_bytes
        self._bytes = 0
        self._arrived = threading.Condition()
        self._records: list[Record] = []
        self._epochs: Mapping[Partition, int] = {}
        self._claims: dict[Partition, Claim] = {}
        self._begins: dict[Partition, int] = {}  # of the next batch
        self._refused: dict[Partition, int] = {}  # in which epoch

    @property
    def is_full(self) -> bool:
        return len(self._records) >= self._full_at or self._bytes >= FULL_AT_BATCHES * self._batch_bytes

    @property
    def is_empty(self) -> bool:
        return not self._records

    @property
    def is_low(self) -> bool:
        return (
            len(self._records) < self._full_at // 2 and self._bytes < FULL_AT_BATCHES * self._batch_bytes // 2
        )

    def put(self, polled: Polled) -> None:
        """Add what was polled; what was polled in another epoch of its partition is gone (rule 10)."""
        with self._arrived:
            if polled.epochs != self._epochs:
                self._turn_to(dict(polled.epochs))
            self._claims |= polled.claims
            self._begins |= {partition: claim.committed for partition, claim in polled.claims.items()}
            welcome = self._welcome(polled.records)
            self._records += welcome
            self._bytes += _bytes(welcome)
            self._arrived.notify()

    def refuse(self, partitions: Mapping[Partition, int]) -> None:
        """Forget what lies here of some partitions, and take no more of them in these epochs.

        What follows a batch that was left where it is must not be synced: its commit would cover the batch.
        """
        with self._arrived:
            self._refused |= partitions
            self._keep(self._welcome(self._records))

    def take(self, timeout_seconds: float) -> Batch | None:
        """All there is, up to a batch's size, or claims before anything else; None if nothing arrives."""
        with self._arrived:
            if not (self._records or self._claims):
                self._arrived.wait(timeout_seconds)
            return self._take_claims() if self._claims else self._take_records()

    def _take_claims(self) -> Batch:
        claims, self._claims = self._claims, {}
        return Batch((), {each: self._epochs[each] for each in claims}, claims=claims)

    def _take_records(self) -> Batch | None:
        if not self._records:
            return None
        number = self._number_in_a_batch()
        records = self._records[:number]
        self._keep(self._records[number:])
        ends = {(record.topic, record.partition): record.offset + 1 for record in records}
        begins = {each: self._begins.get(each, 0) for each in ends}
        self._begins |= ends
        return Batch(records, {each: self._epochs[each] for each in ends}, begins=begins)

    def _number_in_a_batch(self) -> int:
        """Records that fit; one always does."""
        if self._bytes <= self._batch_bytes:
            return self._batch_size
        sizes = accumulate(map(_record_bytes, self._records[: self._batch_size]))
        return max(1, sum(size <= self._batch_bytes for size in sizes))

    def _keep(self, records: Sequence[Record]) -> None:
        self._records = [*records]
        self._bytes = _bytes(self._records)

    def _turn_to(self, epochs: Mapping[Partition, int]) -> None:
        lasting = {each for each, epoch in epochs.items() if self._epochs.get(each) == epoch}
        self._epochs = epochs
        self._keep([each for each in self._records if (each.topic, each.partition) in lasting])
        self._claims = {each: claim for each, claim in self._claims.items() if each in lasting}
        self._refused = {each: epoch for each, epoch in self._refused.items() if each in lasting}

    def _welcome(self, records: Sequence[Record]) -> Sequence[Record]:
        refused = {each for each, epoch in self._refused.items() if self._epochs.get(each) == epoch}
        if not refused:
            return records
        return [each for each in records if (each.topic, each.partition) not in refused]


def _bytes(records: Sequence[Record]) -> int:
    return sum(map(_record_bytes, records))


def _record_bytes(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")
