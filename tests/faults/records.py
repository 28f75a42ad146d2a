"""What the broker holds, and how far the group has read: asked with plain consumers.

Millions of records are read by librdkafka: another client than the workers', and written in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import confluent_kafka as rdkafka
from confluent_kafka import Consumer
from kafka import KafkaConsumer, TopicPartition

from faults.expected import Partition
from kindred.events.schema import Record
from kindred.settings import KafkaSettings, Settings

POLL_MS = 1_000
IDLE_POLLS = 30


def topics(settings: Settings) -> list[str]:
    """Physical names of the three."""
    kafka: KafkaSettings = settings.kafka
    return [settings.topic(name) for name in (kafka.interactions_topic, kafka.users_topic, kafka.items_topic)]


def read_all(settings: Settings) -> Iterator[Record]:
    """Every record of the three topics, from the beginning to where they end now."""
    with _consumer(settings) as consumer:
        ends = {(each.topic, each.partition): end for each, end in _ends(consumer, settings).items() if end}
    reader = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "oracle",  # asked for, and never used
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        reader.assign([rdkafka.TopicPartition(*each, rdkafka.OFFSET_BEGINNING) for each in ends])
        yield from _until(reader, ends)
    finally:
        reader.close()


def ends_and_committed(settings: Settings) -> tuple[dict[Partition, int], dict[Partition, int]]:
    """The next offset to be written to each partition, and the one the group has committed (0 for none)."""
    with _consumer(settings, settings.topic(settings.kafka.group_id)) as consumer:
        ends = _ends(consumer, settings)
        committed = {(each.topic, each.partition): consumer.committed(each) or 0 for each in ends}
        return {(each.topic, each.partition): end for each, end in ends.items()}, committed


def _ends(consumer: KafkaConsumer, settings: Settings) -> dict[TopicPartition, int]:
    """High watermarks, from fetches: asked for offsets, Tansu tells where its last batch begins."""
    partitions = _partitions(consumer, settings)
    told = consumer.end_offsets(partitions)
    written = [each for each in partitions if told[each]]
    consumer.assign(written)
    for each in written:
        consumer.seek(each, told[each] - 1)
    _poll_until(consumer, lambda: all(consumer.highwater(each) is not None for each in written))
    return {each: consumer.highwater(each) if told[each] else 0 for each in partitions}


def _poll_until(consumer: KafkaConsumer, done: Callable[[], bool]) -> None:
    for _ in range(IDLE_POLLS):
        if done():
            return
        consumer.poll(POLL_MS)
    raise RuntimeError("the broker answers no fetch")


def _until(reader: Consumer, ends: dict[Partition, int]) -> Iterator[Record]:
    left, idle = dict(ends), 0
    while left:
        found = reader.consume(10_000, POLL_MS / 1_000)
        idle = 0 if found else idle + 1
        if idle > IDLE_POLLS:
            raise RuntimeError(f"the broker says it ends at {ends}, but no more records come")
        for each in found:
            partition, offset, is_end = (each.topic(), each.partition()), each.offset(), each.error()
            if is_end and is_end.code() != rdkafka.KafkaError._PARTITION_EOF:
                raise rdkafka.KafkaException(is_end)
            if offset >= ends[partition] - (0 if is_end else 1):
                left.pop(partition, None)
            if not is_end and offset < ends[partition]:
                yield Record(*partition, offset, each.timestamp()[1], each.key(), each.value())


def _partitions(consumer: KafkaConsumer, settings: Settings) -> list[TopicPartition]:
    return [
        TopicPartition(topic, partition)
        for topic in topics(settings)
        for partition in sorted(consumer.partitions_for_topic(topic) or ())
    ]


@contextmanager
def _consumer(settings: Settings, group_id: str | None = None) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=group_id,
        enable_auto_commit=False,
        fetch_max_wait_ms=settings.kafka.fetch_max_wait_ms,
    )
    try:
        yield consumer
    finally:
        consumer.close(autocommit=False)
