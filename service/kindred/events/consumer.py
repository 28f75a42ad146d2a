"""How the one Kafka consumer is made."""

from __future__ import annotations

from collections.abc import Sequence

from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from kindred.events.access import TRIAL_SECONDS, admitted
from kindred.events.refusals import meaning
from kindred.events.unpacking import raise_unreadable
from kindred.settings import KafkaSettings


def connect(settings: KafkaSettings, group_id: str, batch_size: int) -> KafkaConsumer:
    """A consumer that has reached the cluster and has subscribed to nothing. Raises Outage, Misconfigured."""
    try:
        consumer = KafkaConsumer(
            **admitted(settings),
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
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            reconnect_backoff_max_ms=1_000,
            bootstrap_timeout_ms=int(TRIAL_SECONDS * 1000),
            isolation_level="read_committed",
        )
    except kafka_errors.KafkaError as error:
        raise meaning(error) from error
    raise_unreadable(consumer)
    return consumer


def missing_topics(consumer: KafkaConsumer, topics: Sequence[str]) -> list[str]:
    """Those that do not exist. Fetches the metadata, without which a first poll's join can hang."""
    try:
        return [topic for topic in topics if not consumer.partitions_for_topic(topic)]
    except kafka_errors.KafkaError as error:
        raise meaning(error) from error


def _range_assignor() -> type:
    from kafka.coordinator.assignors.range import RangePartitionAssignor

    return RangePartitionAssignor  # type: ignore[no-any-return]
