"""The only Kafka producer: for `kindred produce`, the demo and the tests. Services send with any client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from kindred.errors import Misconfigured
from kindred.events.access import admitted
from kindred.events.refusals import meaning
from kindred.events.schema import Record
from kindred.settings import KafkaSettings

FLUSH_TIMEOUT_SECONDS = 30


class Producer:
    """Sends records with their keys; leaving the block waits until the brokers have them all.

    Raises Outage where they do not answer, Misconfigured for a topic that is missing or not allowed.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.sent: Counter[str] = Counter()
        self._failed: list[Exception] = []
        try:
            self._producer = KafkaProducer(**admitted(settings), acks="all", linger_ms=5, max_block_ms=10_000)
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error

    def send(self, record: Record, accepted_topics: Set[str] | None = None) -> None:
        """Queue one record. Raises what an earlier one failed with."""
        if accepted_topics is not None and record.topic not in accepted_topics:
            raise Misconfigured(
                f"Line {record.offset} belongs on {record.topic}, but only {', '.join(accepted_topics)} is "
                "loaded here. Use `kindred produce` for files of several kinds."
            )
        self._raise_failed()
        try:
            sent = self._producer.send(record.topic, key=record.key, value=record.value)
        except kafka_errors.KafkaTimeoutError as error:
            raise _meaning(record.topic, error) from error
        sent.add_errback(self._failed.append)
        self.sent[record.topic] += 1

    def flush(self) -> None:
        """Wait until everything queued has arrived."""
        try:
            self._producer.flush(timeout=FLUSH_TIMEOUT_SECONDS)
        except kafka_errors.KafkaError as error:
            raise meaning(error) from error
        self._raise_failed()

    def _raise_failed(self) -> None:
        if self._failed:
            raise meaning(self._failed[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._producer.close(timeout=0 if kind else FLUSH_TIMEOUT_SECONDS)


def _meaning(topic: str, error: Any) -> Misconfigured:
    return Misconfigured(
        f"Kafka does not take records for {topic} ({error}). Does the topic exist? `kindred topics create`."
    )
