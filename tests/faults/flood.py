"""Records made beforehand, and then sent much faster than a cluster can take them in.

By librdkafka, which costs a few microseconds a record: kafka-python would compete with the workers for the
processors. Its batches are compressed, as those of most producers are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Producer

from faults.workload import Sent
from kindred.settings import Settings

TICK_SECONDS = 0.05
BATCH = 500  # between two looks at what has arrived
FLUSH_SECONDS = 600.0

Arrived = Callable[[str, int, int], None]  # topic, partition, next offset


class Lost(Exception):
    """The client gave records up."""


def flood(direct: Settings, records: Sequence[Sent], per_second: float, arrived: Arrived) -> None:
    """Returns when the broker has them all; raises Lost."""
    lost: list[str] = []
    producer = _producer(direct)

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            arrived(message.topic(), message.partition(), message.offset() + 1)
        else:
            lost.append(str(error))

    began = time.monotonic()
    for first in range(0, len(records), BATCH):
        while first > per_second * (time.monotonic() - began):
            producer.poll(TICK_SECONDS)
        for each in records[first : first + BATCH]:
            _send(producer, direct, each, delivered)
        producer.poll(0)
    if left := producer.flush(FLUSH_SECONDS):
        raise Lost(f"{left} records have not arrived after {FLUSH_SECONDS:g} s")
    if lost:
        raise Lost(f"{len(lost)} records, the first for: {lost[0]}")


def _producer(direct: Settings) -> Producer:
    return Producer(
        {
            "bootstrap.servers": direct.kafka.bootstrap_servers,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 5,
            "partitioner": "murmur2_random",  # as kafka-python and Java
            "queue.buffering.max.messages": 0,  # no limit
            "queue.buffering.max.kbytes": 2_097_151,
        }
    )


def _send(producer: Producer, direct: Settings, sent: Sent, delivered: Any) -> None:
    where = {} if sent.partition is None else {"partition": sent.partition}
    producer.produce(
        direct.topic(sent.topic), sent.value, sent.key, on_delivery=delivered,
        timestamp=sent.timestamp_ms or 0, **where,
    )  # fmt: skip
