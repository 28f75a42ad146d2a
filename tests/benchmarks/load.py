"""What the benchmark runs on: a migrated schema, 100,000 users with full windows, 10,000 items, a model."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from rich.console import Console

from kindred.composition import history_store, opened
from kindred.declaration import load
from kindred.embedding import checkpoint
from kindred.embedding.model import untrained
from kindred.embedding.options import TowerOptions
from kindred.events.access import client_options
from kindred.history.migrate import migrate
from kindred.settings import Settings

GENRES = ["Drama", "Comedy", "Action", "Horror", "Romance", "Thriller", "Western", "Noir"]
START_S = 1_790_000_000

FILL_ITEMS = """
INSERT INTO item (item_id, title, attributes, updated_at, digest, revision)
SELECT i::text, 'Film ' || i, a.attributes::jsonb, now(), '\\x00', nextval('revision')
FROM unnest(%s::int[], %s::text[]) AS a (i, attributes) ORDER BY i
"""
# Quadratic in the random number: few items have most of the views.
FILL_USERS = """
INSERT INTO app_user (user_id, profile, profile_updated_at, profile_digest, history_at, history_items,
                      history_types, history_length, last_event_at, revision)
SELECT u::text, '{"country": "DE", "age_group": "25-34", "device_type": "tv"}', now(), '\\x00', w.at, w.items,
       array_fill((SELECT number FROM event_type WHERE name = 'watch'), ARRAY[%(window)s]), %(window)s,
       w.at[%(window)s], nextval('revision')
FROM generate_series(%(first)s::int, %(last)s::int) u CROSS JOIN LATERAL (
    SELECT array_agg(to_timestamp(%(start)s - 86400 * (%(window)s - k) - u %% 1000) ORDER BY k) AS at,
           array_agg(1 + floor(power(random(), 2) * %(items)s)::int ORDER BY k) AS items
    FROM generate_series(1, %(window)s) k) w
"""


def prepare(settings: Settings, users: int, items: int, max_length: int, console: Console) -> Settings:
    """Fill Postgres, save a model that reads `max_length` interactions, and return settings that name it."""
    began = time.perf_counter()
    attributes = {str(number): film(number) for number in range(1, items + 1)}
    directory = Path(tempfile.mkdtemp(prefix="kindred-bench-")) / "model"
    model = untrained(
        load(),
        items=attributes,
        profiles=[{"country": "DE", "age_group": "25-34"}],
        options=TowerOptions(max_length=max_length),
    )
    checkpoint.save(model, directory, now=datetime.now(UTC))
    settings = settings.model_copy(update={"checkpoint": directory})
    with opened(settings) as servers:
        migrate(servers.database)
        history_store(servers)  # registers the event types
        with servers.database.transaction() as connection:
            connection.execute("SET LOCAL statement_timeout = 0")
            texts = [json.dumps(film) for film in attributes.values()]
            connection.execute(FILL_ITEMS, [list(range(1, items + 1)), texts])
        for first in range(1, users + 1, 10_000):
            with servers.database.transaction() as connection:
                connection.execute("SET LOCAL statement_timeout = 0")
                last = min(first + 9_999, users)
                window = settings.postgres.history_limit
                fill = {"first": first, "last": last, "items": items, "window": window, "start": START_S}
                connection.execute(FILL_USERS, fill)
        with servers.database.dedicated() as connection:
            connection.execute("VACUUM ANALYZE app_user")
    console.print(f"loaded {users:,} users and {items:,} items in {time.perf_counter() - began:.0f} s")
    return settings


def film(number: int) -> dict[str, Any]:
    return {
        "genres": [GENRES[number % 8], GENRES[number // 8 % 8]],
        "actors": [f"actor {number % 997}"],
        "year": 1950 + number % 76,
    }


class Events:
    """Interactions in order of time, each on a user at random; the same for every measurement."""

    def __init__(self, users: int, items: int, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._users = users
        self._items = items
        self._made = 0

    def make(
        self, count: int, first_user: int = 1, users: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of so many records."""
        for _ in range(count):
            self._made += 1
            user = str(first_user + self._random.randrange(users or self._users))
            item = str(1 + int(self._random.random() ** 2 * self._items))
            event = {
                "event_id": f"{self._random.getrandbits(128):032x}",
                "user_id": user,
                "item_id": item,
                "type": "watch",
                "occurred_at": START_S * 1000 + self._made,
            }
            yield user.encode(), json.dumps(event).encode()


def produce(settings: Settings, events: Iterator[tuple[bytes, bytes]]) -> None:
    """As fast as the producer goes."""
    producer = KafkaProducer(**client_options(settings.kafka), linger_ms=20, batch_size=262_144)
    for key, value in events:
        producer.send(settings.topic(settings.kafka.interactions_topic), key=key, value=value)
    producer.flush()
    producer.close()
