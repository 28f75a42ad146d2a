"""What becomes of fetched bytes that kafka-python cannot unpack. Written against kafka-python 3.0.12.

It raises once, and then asks what is left of the failed fetch for records without end: the poll, and with it
every partition of this worker, would hang for ever on one batch. Here a failed fetch is thrown away, so that
the next poll fetches again from where it was, and the error says which partition it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from kindred.events.rebalances import Partition

_DAMAGE = (kafka_errors.CorruptRecordError, kafka_errors.UnknownError)


class Unreadable(Exception):
    """Records of one partition, from an offset on, cannot be unpacked: damaged on a disk, or strange."""

    def __init__(self, partition: Partition, offset: int, reason: str) -> None:
        super().__init__(f"records from offset {offset} on cannot be unpacked: {reason}")
        self.partition = partition
        self.offset = offset


def raise_unreadable(consumer: KafkaConsumer) -> None:
    """Let this consumer's polls raise Unreadable."""
    fetcher = consumer._fetcher
    fetcher.PartitionRecords = _PartitionRecords
    fetcher._parse_fetched_data = partial(_parsed, fetcher._parse_fetched_data)


def _parsed(parse: Callable[[Any], Any], fetched: Any) -> Any:
    """What one fetch brought of one partition. A broker that finds damage itself says so here."""
    try:
        return parse(fetched)
    except kafka_errors.KafkaError as error:
        # A plain KafkaError: not one complete record, so a length in it is wrong.
        if isinstance(error, _DAMAGE) or type(error) is kafka_errors.KafkaError:
            raise _unreadable(fetched.topic_partition, fetched.fetched_offset, error) from error
        raise


def _unreadable(where: TopicPartition, offset: int, error: Exception) -> Unreadable:
    return Unreadable((where.topic, where.partition), offset, f"{type(error).__name__}: {error}")


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    def __init__(self, fetch_offset: int, partition: Any, records: Any, **options: Any) -> None:
        super().__init__(fetch_offset, partition, _Batches(records), **options)

    def take(self, n: int | None = None) -> list[Any]:
        try:
            return super().take(n)  # type: ignore[no-any-return]
        except Exception as error:
            self.drain()
            raise _unreadable(self.topic_partition, self.next_fetch_offset, error) from error


class _Batches:
    """The batches of a fetch, each as one that reads on where a header's name is not UTF-8."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if type(batch) is DefaultRecordBatch:
            batch.__class__ = _Batch
        return batch


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    __slots__ = ()

    def _read_msg(self) -> DefaultRecord:
        begin = self._pos
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._read_without_headers(begin)

    def _read_without_headers(self, begin: int) -> DefaultRecord:
        length, body = decode_varint(self._buffer, begin)
        _, pos = decode_varint(self._buffer, body)  # attributes
        ts_delta, pos = decode_varint(self._buffer, pos)
        offset_delta, pos = decode_varint(self._buffer, pos)
        key, pos = self._read_bytes(pos)
        value, pos = self._read_bytes(pos)
        if not pos <= body + length <= len(self._buffer):
            raise kafka_errors.CorruptRecordError(f"a record of {length} bytes reaches beyond its batch")
        self._pos = body + length  # type: ignore[misc]  # a slot of the base
        is_stamped = self.timestamp_type == self.LOG_APPEND_TIME
        timestamp_ms = self.max_timestamp if is_stamped else self.first_timestamp + ts_delta
        offset = self.base_offset + offset_delta
        return DefaultRecord(length, offset, timestamp_ms, self.timestamp_type, key, value, [])

    def _read_bytes(self, pos: int) -> tuple[bytes | None, int]:
        length, pos = decode_varint(self._buffer, pos)
        if length < 0:
            return None, pos
        return bytes(self._buffer[pos : pos + length]), pos + length
