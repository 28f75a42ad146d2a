"""The loop people write first: one event at a time, with the same parts and the same tower."""

from __future__ import annotations

import json
import time
from typing import Any

import load
import numpy as np
import psycopg
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from qdrant_client import QdrantClient, models
from rich.console import Console

from kindred.embedding.embedder import Embedder
from kindred.events.access import client_options
from kindred.history.window import Histories, Item
from kindred.settings import Settings

KEPT = 100  # interactions of a user
SELECT = "SELECT history_items, history_at FROM app_user WHERE user_id = %s FOR UPDATE"
UPDATE = "UPDATE app_user SET history_items = %s, history_at = %s WHERE user_id = %s"


def events_per_second(settings: Settings, events: load.Events, count: int, console: Console) -> float:
    """Select, update, forward, upsert, commit, for each event."""
    load.produce(settings, events.make(count))
    embedder = Embedder.load(settings.checkpoint)
    embedder.update_items([Item(n, str(n), None, load.film(n), False, 1, 0.0) for n in range(1, 10_001)])
    consumer = KafkaConsumer(
        **client_options(settings.kafka),
        group_id=settings.topic("naive"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=1,
        session_timeout_ms=settings.kafka.session_timeout_ms,
    )
    consumer.subscribe([settings.topic(settings.kafka.interactions_topic)])
    qdrant = QdrantClient(url=settings.qdrant.url, check_compatibility=False)
    users = f"{settings.namespace}__users"  # the alias
    done, began = 0, 0.0
    options = f"-c search_path={settings.schema_name}"
    with psycopg.connect(settings.postgres.url, options=options) as connection:
        while done < count:
            for partition, records in consumer.poll(2_000).items():
                began = began or time.perf_counter()
                for record in records:
                    _one(json.loads(record.value), connection, embedder, qdrant, users)
                    _commit(consumer, partition, record.offset + 1)
                    done += 1
    rate = done / (time.perf_counter() - began)
    consumer.close()
    qdrant.close()
    console.print(f"one event at a time: {rate:,.0f} events/s")
    return rate


def _one(
    event: dict[str, Any],
    connection: psycopg.Connection[Any],
    embedder: Embedder,
    qdrant: QdrantClient,
    users: str,
) -> None:
    row = connection.execute(SELECT, [event["user_id"]]).fetchone() or ([], [])
    items = [*row[0], int(event["item_id"])][-KEPT:]
    at = [*row[1], np.datetime64(event["occurred_at"], "ms").item().astimezone()][-KEPT:]
    connection.execute(UPDATE, [items, at, event["user_id"]])
    connection.commit()
    vector = embedder.embed(_history(event["user_id"], items, at))[0]
    point = models.PointStruct(
        id=int(event["user_id"]), vector=vector.tolist(),
        payload={"user_id": event["user_id"], "seen_items": items, "history_length": len(items)},
    )  # fmt: skip
    qdrant.upsert(users, [point], wait=True)


def _history(user_id: str, items: list[int], at: list[Any]) -> Histories:
    return Histories(
        user_ids=[user_id], profiles=[{}], offsets=np.array([0, len(items)]), items=np.array(items, np.int32),
        types=np.ones(len(items), np.int16), times_us=np.array([int(t.timestamp() * 1e6) for t in at]),
        type_names=["", "watch"], history_lengths=[len(items)],
    )  # fmt: skip


def _commit(consumer: KafkaConsumer, partition: TopicPartition, offset: int) -> None:
    consumer.commit({partition: OffsetAndMetadata(offset, "", -1)})
