"""What kafka-python hands out, as the plain types of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafka import TopicPartition

from kindred.events.rebalances import Partition
from kindred.events.schema import Record

Found = Mapping[TopicPartition, Sequence[object]]  # of one poll


def record(found: object) -> Record:
    """A ConsumerRecord as ours."""
    return Record(
        topic=found.topic,  # type: ignore[attr-defined]
        partition=found.partition,  # type: ignore[attr-defined]
        offset=found.offset,  # type: ignore[attr-defined]
        timestamp_ms=found.timestamp,  # type: ignore[attr-defined]
        key=found.key,  # type: ignore[attr-defined]
        value=found.value,  # type: ignore[attr-defined]
    )


def named(
    partitions: Mapping[TopicPartition, object] | Iterable[TopicPartition],
) -> dict[Partition, int | None]:
    """The partitions of an error: in a list, a set or a dict, there with an offset or what has one."""
    offsets = partitions if isinstance(partitions, Mapping) else {}
    return {(each.topic, each.partition): _offset(offsets.get(each)) for each in partitions}


def _offset(told: object) -> int | None:
    offset = getattr(told, "offset", told)
    return offset if isinstance(offset, int) else None
