"""Where the polling thread leaves records, and the first step of the pipeline takes its batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kindred.events.schema import Record
from kindred.events.source import Partition, Polled
from kindred.history.store import Pending


@dataclass(frozen=True, slots=True)
class Batch:
    """Records with the epochs in which their partitions are owned, or pending rows without records."""

    records: Sequence[Record]
    epochs: Mapping[Partition, int]
    pending: Pending = field(default_factory=Pending)

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """What to commit once the batch is searchable."""
        offsets: dict[Partition, int] = {}
        for record in self.records:
            offsets[record.topic, record.partition] = record.offset + 1
        return offsets

    def without(self, partitions: frozenset[Partition]) -> Batch:
        """The same batch with nothing of these partitions."""
        return Batch(
            [each for each in self.records if (each.topic, each.partition) not in partitions],
            {each: epoch for each, epoch in self.epochs.items() if each not in partitions},
            self.pending,
        )


class Mailbox:
    """Records between the polling thread and the first step. Thread-safe."""

    def __init__(self, batch_size: int, full_at: int) -> None:
        self._batch_size = batch_size
        self._full_at = full_at
        self._arrived = threading.Condition()
        self._records: list[Record] = []
        self._epochs: Mapping[Partition, int] = {}
        self._refused: frozenset[Partition] = frozenset()

    @property
    def is_full(self) -> bool:
        return len(self._records) >= self._full_at

    @property
    def is_empty(self) -> bool:
        return not self._records

    @property
    def is_low(self) -> bool:
        return len(self._records) < self._full_at // 2

    def put(self, polled: Polled) -> None:
        """Add what was polled; what was polled in another epoch of its partition is gone (rule 10)."""
        with self._arrived:
            if polled.epochs != self._epochs:
                self._records = [each for each in self._records if self._is_current(each, polled.epochs)]
                self._epochs = dict(polled.epochs)
            self._records.extend(each for each in polled.records if self._is_welcome(each))
            self._arrived.notify()

    def refuse(self, partitions: frozenset[Partition]) -> None:
        """Forget what lies here of some partitions, and take no more of them.

        What follows a batch that was left where it is must not be synced: its commit would cover the batch.
        """
        with self._arrived:
            self._refused |= partitions
            self._records = [each for each in self._records if self._is_welcome(each)]

    def take(self, timeout_seconds: float) -> Batch | None:
        """All there is, up to the batch size; None if nothing arrives in time."""
        with self._arrived:
            if not self._records:
                self._arrived.wait(timeout_seconds)
            records, self._records = self._records[: self._batch_size], self._records[self._batch_size :]
            named = {(record.topic, record.partition) for record in records}
            return Batch(records, {each: self._epochs[each] for each in named}) if records else None

    def _is_welcome(self, record: Record) -> bool:
        return (record.topic, record.partition) not in self._refused

    def _is_current(self, record: Record, epochs: Mapping[Partition, int]) -> bool:
        partition = (record.topic, record.partition)
        return partition in epochs and epochs[partition] == self._epochs.get(partition)
