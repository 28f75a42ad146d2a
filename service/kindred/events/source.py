"""The only Kafka consumer. Its threads and traps stay in here; out come Records.

Every poll carries the assignment epoch it was made in, and a commit names the epoch of what it commits:
records of an earlier epoch may belong to somebody else by now, and committing past a batch that was
dropped in between would lose it (rule 10).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kafka import OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import MemberState

from kindred.errors import Misconfigured
from kindred.events.consumer import connect, meaning, missing_topics
from kindred.events.rebalances import Assignment, Partition, Rebalances
from kindred.events.schema import Record
from kindred.settings import KafkaSettings

__all__ = ["Partition", "Polled", "Source"]

# Shorter polls can lose the result of a join that ends between two of them (seen with 0, 10 and 100 ms).
POLL_TIMEOUT_MS = 1_000
PAUSED_POLL_TIMEOUT_MS = 200
COMMIT_TIMEOUT_MS = 5_000
LEAVE_TIMEOUT_MS = 2_000


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought, and since when its partitions are owned."""

    records: Sequence[Record]
    epochs: Mapping[Partition, int]


class Source:
    """Polls the topics as a member of the group. Used by one thread; close it."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group_id: str, batch_size: int
    ) -> None:
        """Raises Outage, or Misconfigured where a topic is missing."""
        self._settings = settings
        self._topics = list(topics)
        self._group_id = group_id
        self._batch_size = batch_size
        self._rebalances = Rebalances()
        self._settled_count = 0  # the assignment that `_settle` has seen to
        self._stopped: set[Partition] = set()  # by the breaker, until somebody decides
        self._is_paused = False
        self.rejoins = 0
        self.gaps = 0
        self._consumer = connect(settings, group_id, batch_size)
        self._is_connected = True
        if missing := missing_topics(self._consumer, self._topics):
            self.close()
            raise Misconfigured(
                f"No such topic: {', '.join(missing)}. Create it with `kindred topics create`."
            )
        self._subscribe()

    # Polling

    def poll(self) -> Polled:
        """What has arrived; waits up to a second for the first record, not for more.

        Raises Outage, or Misconfigured where retention has deleted what was not read yet.
        """
        self._reconnect()
        found = self._poll()
        self._watch()
        assignment = self._rebalances.assignment
        if assignment.count != self._settled_count:
            found = {}
            self._settle(assignment)
        return Polled(self._records(found, assignment), assignment.epochs)

    def pause(self) -> None:
        """Back-pressure: keep polling, for that keeps the membership, but take nothing."""
        self._is_paused = True
        self._each(self._consumer.pause, self.assignment)

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._each(self._consumer.resume, self.assignment - self._stopped)

    def stop_partition(self, partition: Partition) -> None:
        """Take nothing more of one partition, here and after any rebalance: the others go on."""
        self._stopped.add(partition)
        self._each(self._consumer.pause, [partition])

    def _poll(self) -> Mapping[TopicPartition, Sequence[object]]:
        timeout_ms = PAUSED_POLL_TIMEOUT_MS if self._is_paused else POLL_TIMEOUT_MS
        try:
            found: Mapping[TopicPartition, Sequence[object]]
            found = self._consumer.poll(timeout_ms, max_records=self._batch_size)
            return found
        except kafka_errors.NoOffsetForPartitionError as error:
            self._begin(_partitions(error))
        except kafka_errors.OffsetOutOfRangeError as error:
            self._lose(_partitions(error))
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return {}

    def _records(
        self, found: Mapping[TopicPartition, Sequence[object]], assignment: Assignment
    ) -> list[Record]:
        """As Records; without what was revoked while it was on its way, or is stopped."""
        going = assignment.epochs.keys() - self._stopped
        return [
            _record(each)
            for partition, several in found.items()
            if (partition.topic, partition.partition) in going
            for each in several
        ]

    # Committing

    def owns(self, epochs: Mapping[Partition, int]) -> bool:
        """Whether all these partitions have been owned without a break since those epochs."""
        owned = self._rebalances.assignment.epochs
        return all(owned.get(partition) == epoch for partition, epoch in epochs.items())

    def commit(
        self,
        offsets: Mapping[Partition, int],
        epochs: Mapping[Partition, int],
        timeout_ms: int = COMMIT_TIMEOUT_MS,
    ) -> None:
        """Commit the next offset of each partition that is still owned since its epoch. Raises Outage.

        What a rebalance has taken away meanwhile is delivered again, here or elsewhere.
        """
        wanted = {
            TopicPartition(*each): OffsetAndMetadata(offset, "", -1)
            for each, offset in offsets.items()
            if self.owns({each: epochs[each]})
        }
        try:
            if wanted:
                self._consumer.commit(wanted, timeout_ms=timeout_ms)
        except (kafka_errors.CommitFailedError, kafka_errors.RebalanceInProgressError):
            return
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error

    # What an operator asks

    @property
    def is_joined(self) -> bool:
        return self._is_connected and bool(self._consumer.group_metadata().state is MemberState.STABLE)

    @property
    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._rebalances.assignment.epochs)

    @property
    def rebalances(self) -> int:
        return self._rebalances.assignment.count

    @property
    def stopped(self) -> frozenset[Partition]:
        """Partitions that the breaker stopped and that are owned here."""
        return frozenset(self._stopped & self.assignment)

    def end_offsets(self) -> dict[Partition, int]:
        """The next offset to be written to each owned partition. Raises Outage."""
        return self._ask(self._consumer.end_offsets, self.assignment)

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Where reading begins: the committed offset, or the first there is. Raises Outage."""
        found = {each: self._committed(TopicPartition(*each)) for each in partitions}
        unread = [each for each, offset in found.items() if offset is None]
        known = {each: offset for each, offset in found.items() if offset is not None}
        return known | self._ask(self._consumer.beginning_offsets, unread)

    def close(self) -> None:
        """Leave the group, so that the partitions move at once."""
        self._is_connected = False
        with suppress(kafka_errors.KafkaError):  # away: then they move after the session timeout
            self._consumer.close(autocommit=False, timeout_ms=LEAVE_TIMEOUT_MS)

    # Joining

    def _subscribe(self) -> None:
        self._consumer.subscribe(self._topics, listener=self._rebalances)
        self._stable_at_seconds = time.monotonic()

    def _watch(self) -> None:
        """The join watchdog: a client can believe it is a member while the group has forgotten it."""
        now = time.monotonic()
        if self.is_joined:
            self._stable_at_seconds = now
        elif now - self._stable_at_seconds > self._settings.join_timeout_seconds:
            self.rejoins += 1
            self.close()
            self._rebalances.forget()

    def _reconnect(self) -> None:
        """A new consumer after the watchdog closed the old one; tried again at each poll until it is."""
        if not self._is_connected:
            self._consumer = connect(self._settings, self._group_id, self._batch_size)
            self._is_connected = True
            missing_topics(self._consumer, self._topics)
            self._subscribe()

    # Where to read on

    def _settle(self, assignment: Assignment) -> None:
        """After a rebalance, read on from the committed offsets; pause what must be, and nothing else.

        kafka-python 3.0.12 keeps the position of a partition that its member keeps, and whether it was
        paused. The position lies beyond what was polled but not synced, which is dropped with its epoch:
        it would be lost (rule 10).
        """
        try:
            for partition, offset in self.start_offsets(assignment.epochs).items():
                self._consumer.seek(TopicPartition(*partition), offset)
        except (KeyError, ValueError):  # revoked this moment: the next poll settles what came after
            return
        paused = self.assignment if self._is_paused else self.stopped
        self._each(self._consumer.pause, paused)
        self._each(self._consumer.resume, self.assignment - paused)
        self._settled_count = assignment.count

    def _committed(self, partition: TopicPartition) -> int | None:
        try:
            offset: int | None = self._consumer.committed(partition, timeout_ms=COMMIT_TIMEOUT_MS)
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return offset

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        names = ", ".join(f"{each.topic}[{each.partition}]" for each in partitions)
        self.gaps += 1
        if self._settings.on_lost_offsets == "stop":
            raise Misconfigured(
                f"Retention has deleted records of {names} that were never read. Set "
                "KINDRED_KAFKA__ON_LOST_OFFSETS=earliest to go on after the gap, or restore the topic."
            )
        self._begin(partitions)

    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        with suppress(ValueError):  # revoked this moment
            self._consumer.seek_to_beginning(*partitions)

    def _ask(
        self, question: Callable[..., Mapping[TopicPartition, int]], partitions: Iterable[Partition]
    ) -> dict[Partition, int]:
        asked = [TopicPartition(*each) for each in partitions]
        try:
            found = question(asked, timeout_ms=COMMIT_TIMEOUT_MS) if asked else {}
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return {(each.topic, each.partition): offset for each, offset in found.items()}

    def _each(self, change: Callable[[TopicPartition], None], partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            with suppress(KeyError):  # revoked this moment: `_settle` follows
                change(TopicPartition(*partition))


def _record(found: object) -> Record:
    return Record(
        topic=found.topic,  # type: ignore[attr-defined]
        partition=found.partition,  # type: ignore[attr-defined]
        offset=found.offset,  # type: ignore[attr-defined]
        timestamp_ms=found.timestamp,  # type: ignore[attr-defined]
        key=found.key,  # type: ignore[attr-defined]
        value=found.value,  # type: ignore[attr-defined]
    )


def _partitions(error: Exception) -> list[TopicPartition]:
    """kafka-python puts them into the first argument, as a list, a set or the keys of a dict."""
    return list(error.args[0])
