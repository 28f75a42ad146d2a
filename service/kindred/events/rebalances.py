"""Which partitions this member owns, and since when: what the group's rebalances leave behind."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import ConsumerRebalanceListener, TopicPartition

Partition = tuple[str, int]


def spelled(partition: Partition) -> str:
    """As operators write it: interactions[3]."""
    return f"{partition[0]}[{partition[1]}]"


@dataclass(frozen=True, slots=True)
class Assignment:
    """`epochs`: for each owned partition the assignment since which it is owned without a break."""

    count: int = 0  # assignments so far
    epochs: Mapping[Partition, int] = field(default_factory=dict)

    def since(self, count: int) -> list[Partition]:
        """Partitions whose epoch began after that assignment."""
        return [partition for partition, epoch in self.epochs.items() if epoch > count]


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes only: it runs on the client's IO thread, where nothing may block for long.

    `assignment` is replaced as a whole, so that another thread reads count and epochs of one moment.
    """

    def __init__(self) -> None:
        self.assignment = Assignment()
        self._changing = threading.Lock()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        with self._changing:
            self._begin([(each.topic, each.partition) for each in assigned])

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        gone = {(each.topic, each.partition) for each in revoked}
        with self._changing:
            kept = {each: epoch for each, epoch in self.assignment.epochs.items() if each not in gone}
            self.assignment = Assignment(self.assignment.count, kept)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def renew(self, partition: Partition) -> None:
        """Begin a new epoch of a partition that is owned, as if it had been away."""
        with self._changing:
            if partition in self.assignment.epochs:
                self._begin([partition])

    def forget(self) -> None:
        """The member is gone, and everything it owned with it."""
        with self._changing:
            self.assignment = Assignment(self.assignment.count)

    def _begin(self, partitions: Sequence[Partition]) -> None:
        count = self.assignment.count + 1
        self.assignment = Assignment(count, {**self.assignment.epochs, **dict.fromkeys(partitions, count)})
