"""Records as librdkafka writes them: compressed any way, and by its own choice of partition."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from kindred.settings import Settings
from running import eventually, is_ready, many, metric, one, prepare, producing, running
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(settings: Settings, tmp_path: Path, codec: str) -> None:
    """Beside uncompressed ones of the same users, which another partitioner puts elsewhere."""
    settings, events = prepare(settings, tmp_path), many(600)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        produce.films()
        _produce(settings, events[:400], codec)
        produce.interactions(events[400:])
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
        assert not metric(settings, "kindred_outages_total", server="kafka")
    assert_exact(settings, events)


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
