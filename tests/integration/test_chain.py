"""From a produced record to a query's answer, through every server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from kindred.client import KindredClient
from kindred.composition import opened, run_worker
from kindred.declaration import load
from kindred.embedding import checkpoint
from kindred.embedding.model import untrained
from kindred.history.migrate import migrate
from kindred.settings import Settings, WorkerSettings

FILMS = {
    str(number): {"genres": ["Drama" if number % 2 else "Comedy"], "actors": ["Ada"], "year": 1980 + number}
    for number in range(20)
}
T0_MS = 1_790_000_000_000


@pytest.fixture
def ready(settings: Settings, tmp_path: Path, free_port: int) -> Settings:
    """A migrated namespace and a checkpoint in which every film is known."""
    model = untrained(load(), items=FILMS, profiles=[{"country": "DE"}])
    checkpoint.save(model, tmp_path / "model", now=datetime(2026, 11, 23, tzinfo=UTC))
    worker = WorkerSettings(
        http_host="127.0.0.1", http_port=free_port, housekeeping_interval_seconds=0.2,
        popularity_interval_seconds=0.2,
    )  # fmt: skip
    settings = settings.model_copy(update={"checkpoint": tmp_path / "model", "worker": worker})
    with opened(settings) as servers:
        migrate(servers.database)
    return settings


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """A worker on a thread; whatever stops it is raised at the end."""
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            run_worker(settings, stop)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=20)
        assert not thread.is_alive()
        if failures:
            raise failures[0]


@contextmanager
def producing(settings: Settings) -> Iterator[Callable[..., None]]:
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)

    def produce(topic: str, key: str, value: Any) -> None:
        raw = None if value is None else json.dumps(value).encode()
        producer.send(settings.topic(topic), key=key.encode(), value=raw)
        producer.flush()

    yield produce
    producer.close()


def interaction(user: str, item: str, number: int, type_: str = "watch") -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "user_id": user, "item_id": item, "type": type_,
        "occurred_at": T0_MS + number * 1000,
    }  # fmt: skip


def eventually(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > deadline:
            assert answer
            return answer
        time.sleep(0.05)


def describe_films(produce: Callable[..., None]) -> None:
    for item_id, attributes in FILMS.items():
        film = {"item_id": item_id, "updated_at": T0_MS, "title": f"Film {item_id}", "available": True}
        produce("items", item_id, film | attributes)


def test_a_click_changes_what_a_user_is_recommended(ready: Settings) -> None:
    with running(ready), producing(ready) as produce, _client(ready) as kindred:
        describe_films(produce)
        produce("users", "7", {"user_id": "7", "updated_at": T0_MS, "country": "DE"})
        cold = eventually(
            lambda: (a := _ask(kindred, "7")) and a.source == "cold_start" and len(a) == 20 and a
        )
        produce("interactions", "7", interaction("7", "3", 1))
        warm = eventually(lambda: (a := _ask(kindred, "7")) and a.source == "personal" and a)
        assert "3" not in {match.id for match in warm}
        assert [m.score for m in warm] != [m.score for m in cold]


def test_an_erased_user_stays_gone_when_a_late_event_arrives(ready: Settings) -> None:
    with running(ready), producing(ready) as produce, _client(ready) as kindred:
        describe_films(produce)
        produce("users", "ann", {"user_id": "ann", "updated_at": T0_MS, "country": "DE"})
        produce("interactions", "ann", interaction("ann", "3", 1))
        eventually(lambda: (a := _ask(kindred, "ann")) and a.source == "personal")
        produce("users", "ann", None)
        eventually(lambda: _ask(kindred, "ann").source == "popular")
        produce("interactions", "ann", interaction("ann", "4", 2))
        produce("interactions", "bob", interaction("bob", "4", 3))
        eventually(lambda: _ask(kindred, "bob").source == "personal")
        assert _ask(kindred, "ann").source == "popular"
        with opened(ready) as servers, servers.database.transaction() as connection:
            left = connection.execute("SELECT count(*) FROM interaction WHERE user_id = 'ann'").fetchone()
        assert left == (0,)


def _client(settings: Settings) -> KindredClient:
    return KindredClient(settings.qdrant.url, namespace=settings.namespace)


def _ask(kindred: KindredClient, user: str) -> Any:
    try:
        return kindred.recommend(user, limit=20)
    except Exception as error:
        if "model" in str(error).lower():  # the worker has not installed it yet
            return None
        raise
