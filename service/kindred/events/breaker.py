"""The breaker: a partition that is mostly poison is paused before anything of the batch is written.

A high share of poison means that a producer or the schema broke; then a person decides, instead of a
worker that turns a whole topic into dead letters. Counted per partition, over its latest records since it
was assigned, without a clock. Rule 21: the batch that trips is neither written nor committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kindred.events.schema import DeadLetter, Reason, Record

TopicPartition = tuple[str, int]

_HARMLESS = frozenset({Reason.UNKNOWN_TYPE})  # another team deployed first


class Counts(msgspec.Struct, frozen=True):
    """Records of one partition: those that are fine, and those that are poison."""

    ok: int = 0
    poison: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.ok + self.poison

    @property
    def share(self) -> float:
        """Share of poison, 0 to 1."""
        return self.poison / self.total if self.total else 0.0

    def followed_by(self, newer: Counts, window_records: int) -> Counts:
        """Both together, the older ones shrunk so that at most `window_records` or `newer` remain."""
        room = max(window_records - newer.total, 0)
        poison = round(self.share * min(self.total, room))
        ok = min(self.total, room) - poison
        return Counts(ok + newer.ok, poison + newer.poison)


class Breaker:
    """Remembers each partition's share of poison over about its last `window_records` records.

    A partition trips when that share exceeds `max_share`, but never before `min_records` were seen.
    """

    def __init__(self, window_records: int = 1_000, max_share: float = 0.5, min_records: int = 100) -> None:
        self.window_records = window_records
        self.max_share = max_share
        self.min_records = min_records
        self._seen: dict[TopicPartition, Counts] = {}
        self._accepted: dict[TopicPartition, int] = {}

    @property
    def accepted(self) -> Mapping[TopicPartition, int]:
        """The offset before which a person has accepted the poison of a partition."""
        return self._accepted

    def judged(
        self, records: Sequence[Record], dead_letters: Sequence[DeadLetter]
    ) -> dict[TopicPartition, Counts]:
        """Counts of one decoded batch, without what was accepted."""
        if not self._accepted:
            return count_by_partition(records, dead_letters)
        return count_by_partition(
            [record for record in records if not self._is_accepted(record)],
            [letter for letter in dead_letters if not self._is_accepted(letter.record)],
        )

    def tripped(self, batch: Mapping[TopicPartition, Counts]) -> frozenset[TopicPartition]:
        """Partitions that this batch would trip; counts nothing yet, since such a batch is polled again."""
        return frozenset(partition for partition, counts in batch.items() if self._trips(partition, counts))

    def count(self, batch: Mapping[TopicPartition, Counts]) -> None:
        """Remember a batch that was committed."""
        for partition, counts in batch.items():
            self._seen[partition] = self._with(partition, counts)

    def begin(self, partitions: Iterable[TopicPartition], accepted: Mapping[TopicPartition, int]) -> None:
        """These were newly assigned: forget what was seen of them, and know what a person has accepted."""
        for partition in partitions:
            self._seen.pop(partition, None)
            self._accepted.pop(partition, None)
            if partition in accepted:
                self._accepted[partition] = accepted[partition]

    def _is_accepted(self, record: Record) -> bool:
        return record.offset < self._accepted.get((record.topic, record.partition), 0)

    def _with(self, partition: TopicPartition, counts: Counts) -> Counts:
        return self._seen.get(partition, Counts()).followed_by(counts, self.window_records)

    def _trips(self, partition: TopicPartition, counts: Counts) -> bool:
        seen = self._with(partition, counts)
        return counts.poison > 0 and seen.total >= self.min_records and seen.share > self.max_share


def count_by_partition(
    records: Sequence[Record], dead_letters: Sequence[DeadLetter]
) -> dict[TopicPartition, Counts]:
    """Counts of one decoded batch. Unknown event types count as fine."""
    total = Counter((record.topic, record.partition) for record in records)
    poison = Counter(
        (letter.record.topic, letter.record.partition)
        for letter in dead_letters
        if letter.reason not in _HARMLESS
    )
    return {partition: Counts(n - poison[partition], poison[partition]) for partition, n in total.items()}


def main_reason(partition: TopicPartition, dead_letters: Sequence[DeadLetter]) -> str:
    """The most common one among the poison of a partition, which must have some."""
    reasons = Counter(
        letter.reason.value
        for letter in dead_letters
        if (letter.record.topic, letter.record.partition) == partition and letter.reason not in _HARMLESS
    )
    return reasons.most_common(1)[0][0]
