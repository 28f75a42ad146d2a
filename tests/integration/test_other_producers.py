"""Records as librdkafka writes them: compressed any way, and by its own choice of partition."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from kindred import lag
from kindred.settings import Settings
from running import committed, eventually, is_ready, many, metric, one, prepare, producing, running
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(settings: Settings, tmp_path: Path, codec: str) -> None:
    """Beside uncompressed ones of the same users, which another partitioner puts elsewhere."""
    settings, events = prepare(settings, tmp_path), many(600)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        outages = metric(settings, "kindred_outages_total", server="kafka")
        produce.films()
        _produce(settings, events[:400], codec)
        produce.interactions(events[400:])
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
        assert metric(settings, "kindred_outages_total", server="kafka") == outages
    assert_exact(settings, events)


def test_the_end_of_a_transaction_is_no_lag(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes an offset of its own, which nobody gets to read. (Tansu does not say that it is there.)"""
    monkeypatch.setattr(lag, "INTERVAL_SECONDS", 0.1)
    settings, events = prepare(settings, tmp_path), many(20)
    with running(settings):
        eventually(lambda: is_ready(settings))
        with _transaction(settings, events[:10]) as producer:
            producer.commit_transaction(20)
        eventually(lambda: one(settings, LOGGED) == 10)
        eventually(lambda: sum(committed(settings).values()) == 10)
        time.sleep(2.5)  # two polls, and a measurement after each
        assert metric(settings, "kindred_lag_records") == 0
        with _transaction(settings, events[10:]) as producer:
            producer.commit_transaction(20)
        eventually(lambda: sum(committed(settings).values()) == 21)  # past the first one's end
    assert_exact(settings, events)


def test_a_transaction_that_is_aborted_never_was(settings: Settings, tmp_path: Path) -> None:
    if os.environ.get("KINDRED_TEST_NATIVE") != "1":
        pytest.skip("Tansu hands out what was aborted; KINDRED_TEST_NATIVE=1 brings Apache Kafka")
    settings, events = prepare(settings, tmp_path), many(20)
    with running(settings):
        eventually(lambda: is_ready(settings))
        with _transaction(settings, events[:10]) as producer:
            producer.abort_transaction(20)
        with _transaction(settings, events[10:]) as producer:
            producer.commit_transaction(20)
        eventually(lambda: sum(committed(settings).values()) == 21)  # past the first one and its end
        eventually(lambda: metric(settings, "kindred_lag_records") == 0)
    assert_exact(settings, events[10:])


@contextmanager
def _transaction(settings: Settings, events: Iterable[dict[str, Any]]) -> Iterator[Producer]:
    """One that has begun, with these in it."""
    producer = Producer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": settings.namespace}
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    for event in events:
        producer.produce(settings.topic("interactions"), json.dumps(event).encode(), partition=1)
    assert producer.flush(10) == 0
    yield producer


def _produce(settings: Settings, events: Iterable[dict[str, Any]], codec: str) -> None:
    """All on their way, and in few batches, when this returns."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 100,
            "partitioner": "consistent",
        }
    )
    for event in events:
        producer.produce(settings.topic("interactions"), json.dumps(event).encode(), event["user_id"])
    assert producer.flush(10) == 0
