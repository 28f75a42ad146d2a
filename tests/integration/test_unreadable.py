"""Records that the Kafka client cannot unpack: their partition waits, the others go on (rule 21)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatch

from kindred.events import set_aside
from kindred.settings import Settings
from running import (
    T0_MS,
    committed,
    eventually,
    interaction,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    ready,
    running,
)
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
DAMAGED = b"damaged on a disk"


@pytest.fixture
def damage(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A batch with these bytes in it has another checksum, until the patch is undone."""
    monkeypatch.setattr(set_aside, "RETRY_SECONDS", 1.0)
    validate = DefaultRecordBatch.validate_crc
    with monkeypatch.context() as patch:
        patch.setattr(
            DefaultRecordBatch, "validate_crc", lambda self: DAMAGED not in self._buffer and validate(self)
        )
        yield patch


def test_a_damaged_batch_stops_its_own_partition_until_it_can_be_read(
    settings: Settings, tmp_path: Path, damage: pytest.MonkeyPatch
) -> None:
    settings = prepare(settings, tmp_path)
    first, damaged, later = (
        many(60),
        interaction("u1", "3", 1_000) | {"note": DAMAGED.decode()},
        many(30, 40, 60),
    )
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        produce.films()
        _send(produce, first, [0, 1, 2])
        eventually(lambda: one(settings, LOGGED) == 60)
        _send(produce, [damaged], [1])
        eventually(lambda: not is_ready(settings))
        _send(produce, later, [0, 2])
        eventually(lambda: one(settings, LOGGED) == 90)

        topic = settings.topic("interactions")
        reasons = ready(settings)["reasons"]
        assert list(reasons) == [f"{topic}[1]"]
        assert "offset 20 on cannot be unpacked: CorruptRecordError" in reasons[f"{topic}[1]"]
        eventually(lambda: metric(settings, "kindred_paused_partitions") == 1)
        eventually(lambda: metric(settings, "kindred_lag_records", partition="1") == 1)
        eventually(lambda: committed(settings)["interactions", 1] == 20)

        damage.undo()
        eventually(lambda: one(settings, LOGGED) == 91)
        eventually(lambda: is_ready(settings))
        eventually(lambda: is_searchable(settings))
    assert_exact(settings, [*first, damaged, *later])


def test_it_stops_no_worker_from_stopping(
    settings: Settings, tmp_path: Path, damage: pytest.MonkeyPatch
) -> None:
    settings = prepare(settings, tmp_path)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        _send(produce, [interaction("u1", "3", 1) | {"note": DAMAGED.decode()}], [0])
        eventually(lambda: not is_ready(settings))
        time.sleep(2.5)  # it is tried again meanwhile
        assert not is_ready(settings)


def test_a_header_whose_name_is_no_text_disturbs_nothing(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path), many(40)
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, linger_ms=50)
    for event in events:
        producer.send(
            settings.topic("interactions"), json.dumps(event).encode(), event["user_id"].encode(),
            headers=[("trace", b"1"), (_NoText("x"), b"2"), ("after", b"")], timestamp_ms=T0_MS,
        )  # fmt: skip
    producer.close()
    with running(settings):
        eventually(lambda: one(settings, LOGGED) == len(events))
        # Not is_searchable, which would have to read such a record.
        eventually(lambda: sum(committed(settings).values()) == len(events))
        eventually(lambda: is_ready(settings))
    assert_exact(settings, events)


class _NoText(str):
    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def _send(produce: Any, events: list[dict[str, Any]], partitions: list[int]) -> None:
    for number, event in enumerate(events):
        value = json.dumps(event).encode()
        produce.raw("interactions", event["user_id"], value, partitions[number % len(partitions)])
    produce.flush()
