"""The only Kafka consumer. Its threads and traps stay in here and in its neighbours; out come Records.

Every poll carries the assignment epoch it was made in, and a commit names the epoch of what it commits:
records of an earlier epoch may belong to somebody else by now, and committing past a batch that was
dropped in between would lose it (rule 10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from kindred.errors import Outage
from kindred.events.access import raise_if_refused
from kindred.events.gaps import Gaps
from kindred.events.membership import Membership
from kindred.events.positions import Claim, Positions
from kindred.events.rebalances import Assignment, Partition, spelled
from kindred.events.records import Found, named, record
from kindred.events.refusals import meaning
from kindred.events.schema import Record
from kindred.events.set_aside import SetAside
from kindred.events.unpacking import Unreadable
from kindred.settings import KafkaSettings

__all__ = ["Claim", "Partition", "Polled", "Source", "spelled"]

# Shorter polls can lose the result of a join that ends between two of them (seen with 0, 10 and 100 ms).
POLL_TIMEOUT_MS = 1_000
PAUSED_POLL_TIMEOUT_MS = 200
COMMIT_TIMEOUT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought, and since when its partitions are owned; `claims`: of those that are new."""

    records: Sequence[Record]
    epochs: Mapping[Partition, int]
    claims: Mapping[Partition, Claim] = field(default_factory=dict)


class Source:
    """Polls the topics as a member of the group. Used by one thread; close it."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group_id: str, batch_size: int
    ) -> None:
        """Raises Outage, or Misconfigured where a topic is missing."""
        self._settings = settings
        self._batch_size = batch_size
        self._membership = Membership(settings, topics, group_id, batch_size)
        self._settled_count = 0  # the assignment that `_settle` has seen to
        self._stopped: dict[Partition, int] = {}  # in which epoch the breaker did
        self._set_aside = SetAside()
        self._read: dict[Partition, int] = {}  # the offset behind what was handed out in this epoch
        self._is_paused = False
        self.is_behind = False  # the last poll brought as much as it may: more may lie here already
        self.gaps = Gaps(settings)

    # Polling

    def poll(self) -> Polled:
        """What has arrived; waits up to a second for the first record, not for more.

        Raises Outage, or Misconfigured where retention has deleted what was not read yet.
        """
        self._membership.rejoin()
        if not self._membership.watch():
            return Polled((), {})
        if due := self._set_aside.due():
            self._pause_and_resume(due)
        # Before anything is fetched: an error, or a new epoch of one partition, would lose what was fetched
        # of the others. A rebalance meanwhile begins a new epoch of every partition.
        assignment = self._assigned
        if not self._is_settled and (claims := self._settle(assignment)):
            return Polled((), assignment.epochs, claims)
        found = self._poll()
        if self._set_aside.reasons:
            # Set aside by then, it was paused, and nobody would try it again.
            self._pause_and_resume(self._set_aside.note_positions(self._positions.now()))
        assignment = self._assigned
        if not self._is_settled:
            return Polled((), assignment.epochs, self._settle(assignment))
        return Polled(self._records(found, assignment), assignment.epochs)

    def pause(self) -> None:
        """Back-pressure: keep polling, for that keeps the membership, but take nothing."""
        self._is_paused = True
        self._each(self._consumer.pause, self.assignment)

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._each(self._consumer.resume, self.assignment - self._held)

    def stop_partition(self, partition: Partition, epoch: int) -> None:
        """Take nothing more of one partition in this epoch, if it is still the one: the others go on."""
        if self.owns({partition: epoch}):  # a pause that outlives its epoch would never be taken back
            self._stopped = {**self._stopped, partition: epoch}  # another thread reads it
            self._each(self._consumer.pause, [partition])

    def start_partition(self, partition: Partition) -> None:
        """Read a partition on from its committed offset, in a new epoch."""
        self._membership.rebalances.renew(partition)

    def _poll(self) -> Found:
        timeout_ms = PAUSED_POLL_TIMEOUT_MS if self._is_paused else POLL_TIMEOUT_MS
        try:
            found: Found = self._consumer.poll(timeout_ms, max_records=self._batch_size)
            if not self._is_paused:
                self.is_behind = sum(map(len, found.values())) == self._batch_size
            return found
        except kafka_errors.NoOffsetForPartitionError as error:
            self._positions.begin(named(error.args[0]))
        except kafka_errors.OffsetOutOfRangeError as error:
            self._lose(named(error.args[0]))
        except kafka_errors.LogTruncationError as error:
            self._lose(named(error.divergent_offsets))
        except Unreadable as error:
            self._set_aside.add(error)
            self._each(self._consumer.pause, [error.partition])
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        return {}

    def _records(self, found: Found, assignment: Assignment) -> list[Record]:
        """As Records; without what was revoked while it was on its way, or is stopped."""
        going = assignment.epochs.keys() - self.stopped
        several = {
            (each.topic, each.partition): [*map(record, records)]
            for each, records in found.items()
            if (each.topic, each.partition) in going
        }
        self._read |= {each: records[-1].offset + 1 for each, records in several.items()}
        return [*chain.from_iterable(several.values())]

    def _settle(self, assignment: Assignment) -> Mapping[Partition, Claim]:
        """Read what is newly assigned on from the committed offsets; pause what must be, and nothing else.

        kafka-python 3.0.12 keeps the position of a partition that its member keeps, and whether it was
        paused. The position lies beyond what was polled but not synced, which is dropped with its epoch:
        it would be lost (rule 10).
        """
        try:
            claims = self._positions.settle(assignment.since(self._settled_count))
        except (KeyError, ValueError):  # revoked this moment: the next poll settles what came after
            return {}
        begun = claims.keys() | (self._read.keys() - assignment.epochs.keys())
        self._read = {each: offset for each, offset in self._read.items() if each not in begun}
        self._set_aside.forget(claims.keys() | (self._set_aside.reasons.keys() - assignment.epochs.keys()))
        self._pause_and_resume(self.assignment)
        self._settled_count = assignment.count
        return claims

    def _pause_and_resume(self, partitions: Iterable[Partition]) -> None:
        """What must be paused, and nothing else of these."""
        wanted = set(partitions)
        paused = wanted if self._is_paused else wanted & self._held
        self._each(self._consumer.pause, paused)
        self._each(self._consumer.resume, wanted - paused)

    def _lose(self, lost: Mapping[Partition, int | None]) -> None:
        if not self._is_settled:  # `_settle` moves it, and then it shows again
            return
        firsts = self._positions.firsts(lost)
        self.gaps.skip(lost, firsts)
        self._positions.move(firsts)

    # Committing

    def owns(self, epochs: Mapping[Partition, int]) -> bool:
        """Whether all these partitions have been owned without a break since those epochs."""
        owned = self._assigned.epochs
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
        wanted = {each: offset for each, offset in offsets.items() if self.owns({each: epochs[each]})}
        self._positions.commit(wanted, timeout_ms)

    # What an operator asks

    @property
    def is_joined(self) -> bool:
        return self._membership.is_joined

    @property
    def rejoins(self) -> int:
        return self._membership.rejoins

    @property
    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._assigned.epochs)

    @property
    def rebalances(self) -> int:
        return self._assigned.count

    @property
    def stopped(self) -> frozenset[Partition]:
        """Partitions that the breaker stopped in the epoch in which they are owned here."""
        owned = self._assigned.epochs
        return frozenset(each for each, epoch in self._stopped.items() if owned.get(each) == epoch)

    @property
    def unreadable(self) -> Mapping[Partition, str]:
        """Partitions that cannot be read on, with the reason; they are tried again now and then."""
        return self._set_aside.reasons

    def caught_up(self, synced: Mapping[Partition, int]) -> dict[Partition, int]:
        """Where reading goes on, of partitions all of whose records so far are synced.

        That is behind the ends of transactions, which take offsets and are no records.
        """
        if not self._is_settled:
            return {}
        return {
            each: position
            for each, position in self._positions.now().items()
            if each in synced and self._read.get(each, synced[each]) == synced[each]
        }

    def end_offsets(self) -> dict[Partition, int]:
        """The next offset to be written to each owned partition. Raises Outage, or Misconfigured where the
        login that was good at the start is refused by now."""
        try:
            return self._positions.ends(self.assignment)
        except Outage:
            raise_if_refused(self._settings)
            raise

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Where reading begins: the committed offset, or the first there is. Raises Outage."""
        return self._positions.starts(partitions)

    def close(self) -> None:
        """Leave the group, so that the partitions move at once."""
        self._membership.leave()

    # The neighbours

    @property
    def _held(self) -> frozenset[Partition]:
        """Whatever happens to the others, these are not read on now."""
        return self.stopped | self._set_aside.partitions

    @property
    def _consumer(self) -> KafkaConsumer:
        return self._membership.consumer

    @property
    def _positions(self) -> Positions:
        return Positions(self._membership.consumer)

    @property
    def _is_settled(self) -> bool:
        return self._assigned.count == self._settled_count

    @property
    def _assigned(self) -> Assignment:
        return self._membership.rebalances.assignment

    def _each(self, change: Callable[[TopicPartition], None], partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            with suppress(KeyError):  # revoked this moment: `_settle` follows
                change(TopicPartition(*partition))
