"""The only Kafka consumer. Its threads and traps stay in here; out come Records.

Every poll carries the assignment epoch it was made in, and a commit names the epoch of what it commits:
records of an earlier epoch may belong to somebody else by now, and committing past a batch that was
dropped in between would lose it (rule 10).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import MemberState

from kindred.errors import Misconfigured, Outage
from kindred.events.schema import Record
from kindred.settings import KafkaSettings

Partition = tuple[str, int]

# Shorter polls can lose the result of a join that ends between two of them (seen with 0, 10 and 100 ms).
POLL_TIMEOUT_MS = 1_000
PAUSED_POLL_TIMEOUT_MS = 200
COMMIT_TIMEOUT_MS = 5_000

Assignment = dict[Partition, int]  # the epoch since which each partition is owned without a break


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought, and since when its partitions are owned."""

    records: Sequence[Record]
    epochs: Mapping[Partition, int]


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes only: it runs on the client's IO thread, where nothing may block."""

    def __init__(self) -> None:
        self.count = 0
        self.owned: Assignment = {}

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self.count += 1
        self.owned = self.owned | {(each.topic, each.partition): self.count for each in assigned}

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        gone = {(each.topic, each.partition) for each in revoked}
        self.owned = {partition: epoch for partition, epoch in self.owned.items() if partition not in gone}

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)


class Source:
    """Polls the topics as a member of the group. Used by one thread; close it."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group_id: str, batch_size: int
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._group_id = group_id
        self._batch_size = batch_size
        self._rebalances = _Rebalances()
        self._stopped: set[Partition] = set()  # by the breaker, until somebody decides
        self._is_paused = False
        self._paused_in_epoch = 0
        self.rejoins = 0
        self.gaps = 0
        self._consumer = self._connected()
        self._stable_at_seconds = time.monotonic()

    # Polling

    def poll(self) -> Polled:
        """What has arrived; waits up to a second for the first record, not for more.

        Raises Outage, or Misconfigured where retention has deleted what was not read yet.
        """
        try:
            found = self._consumer.poll(
                PAUSED_POLL_TIMEOUT_MS if self._is_paused else POLL_TIMEOUT_MS, max_records=self._batch_size
            )
        except kafka_errors.NoOffsetForPartitionError as error:
            self._begin(_partitions(error))
            return Polled((), {})
        except kafka_errors.OffsetOutOfRangeError as error:
            self._lose(_partitions(error))
            return Polled((), {})
        except kafka_errors.KafkaError as error:
            raise _meaning(error) from error
        self._watch()
        self._keep_paused()
        records = [
            _record(each)
            for partition, several in found.items()
            if (partition.topic, partition.partition) not in self._stopped
            for each in several
        ]
        return Polled(records, self._rebalances.owned)

    def pause(self) -> None:
        """Back-pressure: keep polling, for that keeps the membership, but take nothing."""
        self._is_paused = True
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            going = [
                each
                for each in self._consumer.assignment()
                if (each.topic, each.partition) not in self._stopped
            ]
            self._consumer.resume(*going)

    def stop_partition(self, partition: Partition, next_offset: int) -> None:
        """Leave one partition where it is: the others go on."""
        self._stopped.add(partition)
        each = TopicPartition(*partition)
        if each in self._consumer.assignment():
            self._consumer.pause(each)
            self._consumer.seek(each, next_offset)

    def _keep_paused(self) -> None:
        """A pause ends when a partition moves: after a rebalance, pause again what must stay so."""
        if self._rebalances.count == self._paused_in_epoch:
            return
        self._paused_in_epoch = self._rebalances.count
        assigned = self._consumer.assignment()
        still = [e for e in assigned if self._is_paused or (e.topic, e.partition) in self._stopped]
        if still:
            self._consumer.pause(*still)

    # Committing

    def owns(self, epochs: Mapping[Partition, int]) -> bool:
        """Whether all these partitions have been owned without a break since those epochs."""
        owned = self._rebalances.owned
        return all(owned.get(partition) == epoch for partition, epoch in epochs.items())

    def commit(self, offsets: Mapping[Partition, int], epochs: Mapping[Partition, int]) -> bool:
        """Commit the next offset of each partition; False if a rebalance has come in between."""
        if not self.owns(epochs):
            return False
        wanted = {
            TopicPartition(*name): OffsetAndMetadata(offset, "", -1) for name, offset in offsets.items()
        }
        try:
            self._consumer.commit(wanted, timeout_ms=COMMIT_TIMEOUT_MS)
        except (kafka_errors.CommitFailedError, kafka_errors.RebalanceInProgressError):
            return False
        except kafka_errors.KafkaError as error:
            raise _meaning(error) from error
        return True

    # What an operator asks

    @property
    def is_joined(self) -> bool:
        return bool(self._consumer.group_metadata().state is MemberState.STABLE)

    @property
    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._rebalances.owned)

    @property
    def rebalances(self) -> int:
        return self._rebalances.count

    @property
    def stopped(self) -> frozenset[Partition]:
        return frozenset(self._stopped)

    def end_offsets(self) -> dict[Partition, int]:
        """The next offset to be written to each owned partition. Raises Outage."""
        owned = [TopicPartition(*each) for each in self._rebalances.owned]
        try:
            found = self._consumer.end_offsets(owned, timeout_ms=COMMIT_TIMEOUT_MS) if owned else {}
        except kafka_errors.KafkaError as error:
            raise _meaning(error) from error
        return {(each.topic, each.partition): offset for each, offset in found.items()}

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The committed offset of each partition that has one. Raises Outage."""
        found = {each: self._committed(TopicPartition(*each)) for each in partitions}
        return {each: offset for each, offset in found.items() if offset is not None}

    def close(self) -> None:
        """Leave the group, so that the partitions move at once."""
        self._consumer.close(autocommit=False, timeout_ms=5_000)

    def _committed(self, partition: TopicPartition) -> int | None:
        try:
            offset: int | None = self._consumer.committed(partition, timeout_ms=COMMIT_TIMEOUT_MS)
        except kafka_errors.KafkaError as error:
            raise _meaning(error) from error
        return offset

    # Joining

    def _connected(self) -> KafkaConsumer:
        consumer = _consumer(self._settings, self._group_id, self._batch_size)
        try:
            # Also fetches the metadata before the first poll, without which a join can hang.
            missing = [topic for topic in self._topics if not consumer.partitions_for_topic(topic)]
        except kafka_errors.KafkaError as error:
            consumer.close(autocommit=False)
            raise _meaning(error) from error
        if missing:
            consumer.close(autocommit=False)
            raise Misconfigured(
                f"No such topic: {', '.join(missing)}. Create it with `kindred topics create`."
            )
        consumer.subscribe(self._topics, listener=self._rebalances)
        return consumer

    def _watch(self) -> None:
        """The join watchdog: a client can believe it is a member while the group has forgotten it."""
        now = time.monotonic()
        if self.is_joined:
            self._stable_at_seconds = now
        elif now - self._stable_at_seconds > self._settings.join_timeout_seconds:
            self._rejoin()
            self._stable_at_seconds = now

    def _rejoin(self) -> None:
        self.rejoins += 1
        self._consumer.close(autocommit=False, timeout_ms=2_000)
        self._rebalances.owned = {}
        self._consumer = self._connected()

    # Where to begin

    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        """A partition without a committed offset is read from its first record."""
        self._consumer.seek_to_beginning(*partitions)

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        names = ", ".join(f"{each.topic}[{each.partition}]" for each in partitions)
        self.gaps += 1
        if self._settings.on_lost_offsets == "stop":
            raise Misconfigured(
                f"Retention has deleted records of {names} that were never read. Set "
                "KINDRED_KAFKA__ON_LOST_OFFSETS=earliest to go on after the gap, or restore the topic."
            )
        self._consumer.seek_to_beginning(*partitions)


def _consumer(settings: KafkaSettings, group_id: str, batch_size: int) -> KafkaConsumer:
    try:
        return KafkaConsumer(
            **settings.client_options(),
            client_id="kindred",
            group_id=group_id,
            group_instance_id=settings.group_instance_id,
            enable_auto_commit=False,
            # 'earliest' would silently rewind, or skip a gap, when the committed offset is gone.
            auto_offset_reset="none",
            # Cooperative-sticky stalled all partitions on a join; range stops the others for 15 ms.
            partition_assignment_strategy=[_range_assignor()],
            max_poll_records=batch_size,
            max_poll_interval_ms=settings.max_poll_interval_ms,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            reconnect_backoff_max_ms=1_000,
            bootstrap_timeout_ms=10_000,
            isolation_level="read_committed",
        )
    except kafka_errors.KafkaError as error:
        raise _meaning(error) from error


def _range_assignor() -> type:
    from kafka.coordinator.assignors.range import RangePartitionAssignor

    return RangePartitionAssignor  # type: ignore[no-any-return]


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


def _meaning(error: kafka_errors.KafkaError) -> Exception:
    reason = str(error) or type(error).__name__
    denied = (kafka_errors.AuthorizationError, kafka_errors.SaslAuthenticationFailedError)
    if isinstance(error, denied):
        return Misconfigured(
            f"Kafka denies access: {reason}. Check KINDRED_KAFKA__SASL_… and the group's rights."
        )
    return Outage("kafka", reason)
