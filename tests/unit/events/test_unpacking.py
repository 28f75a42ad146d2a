"""Damage that a broker reports itself, and records whose headers cannot be read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from kindred.events.set_aside import SetAside
from kindred.events.unpacking import Unreadable, _Batch, raise_unreadable

CLICKS = ("clicks", 3)
FETCHED = SimpleNamespace(topic_partition=TopicPartition(*CLICKS), fetched_offset=7)


def consumer(error: Exception) -> Any:
    """One whose fetches end with this error."""

    def parse(_: object) -> None:
        raise error

    made = SimpleNamespace(_fetcher=SimpleNamespace(PartitionRecords=None, _parse_fetched_data=parse))
    raise_unreadable(made)
    return made


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.CorruptRecordError("crc"),
        kafka_errors.UnknownError("disk"),
        kafka_errors.KafkaError("Failed to make progress reading messages"),
    ],
)
def test_damage_that_the_broker_finds_names_its_partition(error: Exception) -> None:
    with pytest.raises(Unreadable) as raised:
        consumer(error)._fetcher._parse_fetched_data(FETCHED)
    assert raised.value.partition == CLICKS
    assert raised.value.offset == 7
    assert type(error).__name__ in str(raised.value)


@pytest.mark.parametrize(
    "error", [kafka_errors.OffsetOutOfRangeError(), kafka_errors.TopicAuthorizationFailedError(), KeyError()]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)):
        consumer(error)._fetcher._parse_fetched_data(FETCHED)


def test_what_is_mended_is_there() -> None:
    """Names inside kafka-python that we count on."""
    assert issubclass(Fetcher.PartitionRecords, object)
    assert callable(Fetcher._parse_fetched_data)
    assert callable(DefaultRecordBatch._read_msg)


def test_all_but_the_headers_is_read(batch: bytearray) -> None:
    found = _opened(batch)
    assert [(each.offset, each.timestamp, each.key, each.value) for each in found] == [
        (0, 1_000, b"k", b"one"), (1, 2_000, None, b"two"), (2, 3_000, b"k", None),
    ]  # fmt: skip


def test_a_record_that_reaches_beyond_its_batch_is_damage(batch: bytearray) -> None:
    begin = DefaultRecordBatch.HEADER_STRUCT.size
    batch[begin] -= 2  # its length, zigzag: one byte less than it is
    with pytest.raises(kafka_errors.CorruptRecordError):
        list(_opened(batch))


@pytest.fixture
def batch() -> bytearray:
    """Three records; the name of the first one's header is no UTF-8."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=10_000,
    )  # fmt: skip
    builder.append(0, 1_000, b"k", b"one", [("name", b"value")])
    builder.append(1, 2_000, None, b"two", [])
    builder.append(2, 3_000, b"k", None, [])
    return bytearray(bytes(builder.build()).replace(b"name", b"na\xff\xfe"))


def _opened(batch: bytearray) -> Any:
    opened = DefaultRecordBatch(batch)
    opened.__class__ = _Batch
    return opened


class TestSetAside:
    def test_a_reason_stays_until_reading_has_passed_its_offset(self) -> None:
        set_aside = SetAside()
        set_aside.add(Unreadable(CLICKS, 7, "damaged"))
        assert set_aside.partitions == {CLICKS}
        assert set_aside.note_positions({CLICKS: 7, ("films", 0): 100}) == []
        assert "offset 7" in set_aside.reasons[CLICKS]
        assert set_aside.note_positions({CLICKS: 8}) == [CLICKS]  # whom the source then resumes
        assert not set_aside.reasons
        assert not set_aside.partitions

    def test_it_is_tried_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_aside = SetAside()
        set_aside.add(Unreadable(CLICKS, 7, "damaged"))
        assert set_aside.due() == []
        monkeypatch.setattr("kindred.events.set_aside.RETRY_SECONDS", -1.0)
        set_aside.add(Unreadable(CLICKS, 7, "damaged"))
        assert set_aside.due() == [CLICKS]
        assert set_aside.partitions == frozenset()
        assert set_aside.reasons  # until it is read
