"""Where each partition is read from: the committed offset, the first one there is, or after a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from kindred.errors import Misconfigured
from kindred.events.rebalances import Partition, spelled
from kindred.events.refusals import meaning

log = structlog.get_logger()

ANSWER_TIMEOUT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What the group says of one partition."""

    committed: int  # all before this was synced; 0 where nothing was ever committed
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
        for partition, offset in starts.items():
            self._consumer.seek(TopicPartition(*partition), offset)
        return {each: Claim(committed.get(each, 0), ends[each]) for each in asked}

    def begin(self, partitions: Iterable[Partition]) -> None:
        """Read these from the first record there is."""
        with suppress(ValueError):  # revoked this moment
            self._consumer.seek_to_beginning(*(TopicPartition(*each) for each in partitions))

    def skip_gaps(self, lost: Mapping[Partition, int | None]) -> None:
        """Go on from the first record there is, where the log no longer holds the offset to read from."""
        firsts = self.firsts(lost)
        for (topic, partition), offset in lost.items():
            log.error(
                "offsets_lost", topic=topic, partition=partition, wanted=offset,
                goes_on_from=firsts.get((topic, partition)),
            )  # fmt: skip
        self.begin(lost)

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


def refuse_gaps(lost: Iterable[Partition]) -> None:
    """Raises Misconfigured: somebody has to decide."""
    names = ", ".join(map(spelled, sorted(lost)))
    raise Misconfigured(
        f"The log of {names} no longer holds the offset to read on from: retention has deleted records that "
        "were never read, or the topic was made anew. Set KINDRED_KAFKA__ON_LOST_OFFSETS=earliest to go on "
        "with the first record there is, or restore the topic."
    )
