"""Which partitions this member owns, and since when: what the group's rebalances leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import ConsumerRebalanceListener, TopicPartition

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`epochs`: for each owned partition the assignment since which it is owned without a break."""

    count: int = 0  # assignments so far
    epochs: Mapping[Partition, int] = field(default_factory=dict)


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes only: it runs on the client's IO thread, where nothing may block.

    `assignment` is replaced as a whole, so that another thread reads count and epochs of one moment.
    """

    def __init__(self) -> None:
        self.assignment = Assignment()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        count = self.assignment.count + 1
        gained = {(each.topic, each.partition): count for each in assigned}
        self.assignment = Assignment(count, {**self.assignment.epochs, **gained})

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        gone = {(each.topic, each.partition) for each in revoked}
        kept = {each: epoch for each, epoch in self.assignment.epochs.items() if each not in gone}
        self.assignment = Assignment(self.assignment.count, kept)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def forget(self) -> None:
        """The member is gone, and everything it owned with it."""
        self.assignment = Assignment(self.assignment.count)
