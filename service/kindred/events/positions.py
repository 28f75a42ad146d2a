"""Where each partition is read from: the committed offset, the first one there is, or after a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from kindred.events.rebalances import Partition
from kindred.events.refusals import meaning

ANSWER_TIMEOUT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What the group says of one partition."""

    committed: int  # all before this was synced; 0 where nothing was committed, or Kafka has forgotten it
    start: int  # from where it is read: the same, or the first offset that there is
    end: int  # the next offset to be written; Tansu says less (by up to the last batch, as of 0.1.2)


class Positions:
    """Asks and moves one consumer. All methods raise Outage."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Of those that the group has committed anything of."""
        found = {each: self._committed(TopicPartition(*each)) for each in partitions}
        return {each: offset for each, offset in found.items() if offset is not None}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The next offset to be written to each."""
        return self._ask(self._consumer.end_offsets, partitions)

    def firsts(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The first offset that retention has left of each."""
        return self._ask(self._consumer.beginning_offsets, partitions)

    def starts(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Where reading begins: the committed offset, or the first there is."""
        asked = set(partitions)
        committed = self.committed(asked)
        return committed | self.firsts(asked - committed.keys())

    def now(self) -> dict[Partition, int]:
        """Where reading of each assigned partition goes on, as far as the client knows without asking.

        Not `position`: that asks, and takes away the errors of others that were to be raised by a poll.
        """
        known = self._consumer._subscription.all_consumed_offsets()
        return {(each.topic, each.partition): position.offset for each, position in known.items()}

    def settle(self, partitions: Iterable[Partition]) -> dict[Partition, Claim]:
        """Read these on from where the group has committed. Raises ValueError where one was revoked."""
        asked = set(partitions)
        committed, ends = self.committed(asked), self.ends(asked)
        starts = committed | self.firsts(asked - committed.keys())
        self._seek(starts)
        return {each: Claim(committed.get(each, 0), starts[each], ends[each]) for each in asked}

    def begin(self, partitions: Iterable[Partition]) -> None:
        """Read these from the first record there is."""
        with suppress(ValueError):  # revoked this moment
            self._consumer.seek_to_beginning(*(TopicPartition(*each) for each in partitions))

    def move(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from these, at once: what a fetch under way says of the position before counts no more."""
        with suppress(ValueError):  # revoked this moment
            self._seek(offsets)

    def commit(self, offsets: Mapping[Partition, int], timeout_ms: int) -> None:
        """Commit these for the group, unless a rebalance is under way: then they are delivered again."""
        wanted = {
            TopicPartition(*each): OffsetAndMetadata(offset, "", -1) for each, offset in offsets.items()
        }
        try:
            if wanted:
                self._consumer.commit(wanted, timeout_ms=timeout_ms)
        except (kafka_errors.CommitFailedError, kafka_errors.RebalanceInProgressError):
            return
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error

    def _seek(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    def _committed(self, partition: TopicPartition) -> int | None:
        try:
            offset: int | None = self._consumer.committed(partition, timeout_ms=ANSWER_TIMEOUT_MS)
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return offset

    def _ask(
        self, question: Callable[..., Mapping[TopicPartition, int]], partitions: Iterable[Partition]
    ) -> dict[Partition, int]:
        asked = [TopicPartition(*each) for each in partitions]
        try:
            found = question(asked, timeout_ms=ANSWER_TIMEOUT_MS) if asked else {}
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return {(each.topic, each.partition): offset for each, offset in found.items()}
