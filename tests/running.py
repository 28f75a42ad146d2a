"""A whole Kindred for a test: a prepared namespace, workers in it, a producer, and what must be true."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from kafka import KafkaProducer
from pydantic import SecretStr

from kindred.composition import opened, run_worker
from kindred.declaration import load
from kindred.embedding import checkpoint
from kindred.embedding.model import untrained
from kindred.events.access import client_options
from kindred.events.topics import list_topics
from kindred.local.processes import ChildProcess, free_port
from kindred.settings import Settings
from servers.roles import as_superuser, make_schema

FILMS: dict[str, dict[str, Any]] = {
    str(number): {"genres": ["Drama" if number % 2 else "Comedy"], "actors": ["Ada"], "year": 1980 + number}
    for number in range(20)
}
T0_MS = 1_790_000_000_000


def prepare(settings: Settings, folder: Path, **worker: Any) -> Settings:
    """Migrate the namespace and give it a checkpoint in which every film is known.

    Returns the settings of the role that workers have.
    """
    save_model(folder / "model")
    hasty = {
        "http_host": "127.0.0.1",
        "http_port": free_port(),
        "housekeeping_interval_seconds": 0.2,
        "popularity_interval_seconds": 0.2,
    }
    settings = settings.model_copy(
        update={
            "checkpoint": folder / "model",
            "worker": settings.worker.model_copy(update=hasty | worker),
        }
    )
    roles = make_schema(settings.postgres, settings.schema_name)
    return reached_at(settings, roles.url(settings.postgres.url, "worker"))


def reached_at(settings: Settings, postgres_url: str) -> Settings:
    """The same settings for another Postgres, or another user of it."""
    return settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": postgres_url})}
    )


def privileged(settings: Settings) -> Settings:
    """The same settings for a superuser of Postgres: for what only a test does."""
    return reached_at(settings, as_superuser(settings.postgres.url))


def save_model(folder: Path, seed: int = 0) -> str:
    """Save an untrained model there; returns its name. Another seed gives another model."""
    model = untrained(load(), items=FILMS, profiles=[{"country": "DE"}], seed=seed)
    return checkpoint.save(model, folder, now=datetime(2026, 11, 23, tzinfo=UTC)).name


def beside(settings: Settings, **worker: Any) -> Settings:
    """The same settings for a second worker: another port, and what is given."""
    worker = {"http_port": free_port(), **worker}
    return settings.model_copy(update={"worker": settings.worker.model_copy(update=worker)})


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


def worker_process(settings: Settings, log: Path) -> ChildProcess:
    """A worker as a process of its own, as an operator starts it."""
    command = [sys.executable, "-m", "kindred.cli", "worker"]
    return ChildProcess("worker", command, log=log, environment=environment(settings))


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which `load_settings` reads these settings."""
    return dict(_variables("KINDRED_", settings.model_dump()))


def _variables(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _variables(f"{prefix}{name.upper()}__", value)
        elif value is not None:
            shown = value.get_secret_value() if isinstance(value, SecretStr) else value
            yield f"{prefix}{name.upper()}", str(shown)


class Sender:
    """Produces to the topics of one namespace."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = KafkaProducer(**client_options(settings.kafka), linger_ms=5)

    def __call__(self, topic: str, key: str, value: Any) -> None:
        """One JSON value, or None as a tombstone; on its way when this returns."""
        self.raw(topic, key, None if value is None else json.dumps(value).encode())
        self.flush()

    def raw(self, topic: str, key: str, value: bytes | None, partition: int | None = None) -> None:
        """Bytes as they are, not flushed."""
        self._producer.send(self._settings.topic(topic), value=value, key=key.encode(), partition=partition)

    def interactions(self, events: list[dict[str, Any]]) -> None:
        """Many at once."""
        for event in events:
            self.raw("interactions", event["user_id"], json.dumps(event).encode())
        self.flush()

    def films(self) -> None:
        """Describe every film."""
        for item_id, attributes in FILMS.items():
            self.raw("items", item_id, json.dumps(film(item_id) | attributes).encode())
        self.flush()

    def flush(self, timeout_seconds: float = 10) -> None:
        self._producer.flush(timeout=timeout_seconds)

    def close(self) -> None:
        self._producer.close(timeout=5)


@contextmanager
def producing(settings: Settings) -> Iterator[Sender]:
    """A Sender, closed at the end."""
    sender = Sender(settings)
    try:
        yield sender
    finally:
        sender.close()


def film(item_id: str, **changes: Any) -> dict[str, Any]:
    """An item record, without its features."""
    return {"item_id": item_id, "updated_at": T0_MS, "title": f"Film {item_id}", "available": True} | changes


def interaction(user: str, item: str, number: int, type_: str = "watch") -> dict[str, Any]:
    """An interaction record, `number` seconds after T0."""
    return {
        "event_id": f"e{number}", "user_id": user, "item_id": item, "type": type_,
        "occurred_at": T0_MS + number * 1000,
    }  # fmt: skip


def many(number: int, users: int = 40, first: int = 0) -> list[dict[str, Any]]:
    """Interactions that go round the users and the films."""
    return [
        interaction(f"u{each % users}", str(each * 7 % len(FILMS)), each)
        for each in range(first, first + number)
    ]


def eventually(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > deadline:
            assert answer
            return answer
        time.sleep(0.05)


def ready(settings: Settings) -> dict[str, Any]:
    """What /readyz says; {} while nobody answers."""
    return _get(settings, "readyz").json() if _answers(settings) else {}


def is_ready(settings: Settings) -> bool:
    return bool(ready(settings).get("ready"))


def is_alive(settings: Settings) -> bool:
    return _answers(settings) and _get(settings, "healthz").status_code == 200


def metric(settings: Settings, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = _get(settings, "metrics").text.splitlines()
    samples = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(each in line for each in wanted))


def committed(settings: Settings) -> Mapping[tuple[str, int], int]:
    """Committed offsets of the namespace's group, by topic (logical name) and partition."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        **client_options(settings.kafka), group_id=settings.topic(settings.kafka.group_id)
    )
    try:
        return {
            (topic.rpartition(".")[2], partition): consumer.committed(TopicPartition(topic, partition)) or 0
            for topic, partitions in list_topics(settings).items()
            for partition in range(partitions)
        }
    finally:
        consumer.close(autocommit=False)


def rows(settings: Settings, statement: str, *parameters: Any) -> list[Any]:
    """What a superuser's statement finds in the namespace's schema."""
    with opened(privileged(settings)) as servers, servers.database.transaction() as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def one(settings: Settings, statement: str, *parameters: Any) -> Any:
    """The first value of the first row."""
    return rows(settings, statement, *parameters)[0][0]


@contextmanager
def stuck(settings: Settings) -> Iterator[None]:
    """No batch ends meanwhile: its transaction waits for a lock, as it would for a slow server."""
    with opened(privileged(settings)) as servers, servers.database.transaction() as connection:
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("LOCK TABLE interaction IN EXCLUSIVE MODE")
        yield


def _answers(settings: Settings) -> bool:
    try:
        _get(settings, "healthz")
    except httpx.TransportError:
        return False
    return True


def _get(settings: Settings, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{settings.worker.http_port}/{path}", timeout=5)


os.environ.setdefault("OMP_NUM_THREADS", "1")
