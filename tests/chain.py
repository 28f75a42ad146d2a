"""Records in, vectors out, in one process and without a consumer: for tests of what comes after."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kindred.cli import app
from kindred.composition import Servers, history_store, install, opened, syncer
from kindred.events.schema import Record
from kindred.history.store import HistoryStore
from kindred.settings import PostgresSettings, QdrantSettings, Settings
from kindred.sync import Syncer
from kindred.vectors.index import Index
from kindred.vectors.points import Point, Points
from running import environment, prepare, rows

NO_EVENT = b"{"
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:")


class Chain:
    """The three steps on a namespace's servers."""

    def __init__(self, settings: Settings, servers: Servers) -> None:
        self.settings = settings
        self.servers = servers
        self.fleet = install(servers)
        (self.model,) = self.fleet.names
        self.history: HistoryStore = history_store(servers)
        self.syncer: Syncer = syncer(servers, self.history, self.fleet)
        self.index = Index(servers.qdrant, servers.names, servers.declaration)
        self.points: Points = self.index.points
        self._offset = 0

    def record(self, topic: str, key: str | None, value: Any, at_ms: int | None = None) -> Record:
        """As the next one of its topic; `value` is JSON unless it is bytes or None."""
        self._offset += 1
        written = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        now_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        key_bytes = None if key is None else key.encode()
        return Record(self.settings.topic(topic), 0, self._offset, now_ms, key_bytes, written)

    def sync(self, *records: Record) -> None:
        self.syncer.sync(records)

    def send(self, topic: str, key: str | None, value: Any, at_ms: int | None = None) -> None:
        """One record, synced."""
        self.sync(self.record(topic, key, value, at_ms))

    def drain(self) -> int:
        """What workers do with pending_sync; returns how many rows there were."""
        drained = 0
        while pending := self.history.take_pending(1_000):
            drained += len(pending)
            self.syncer.sync([], pending)
        return drained

    def point(self, user: str) -> Point | None:
        return self.points.retrieve(self.model, "user", [user]).get(user)


@contextmanager
def chain(postgres_url: str, qdrant_url: str, folder: Path) -> Iterator[Chain]:
    """In a namespace of its own, without topics: nobody consumes here. It goes at the end."""
    settings = Settings(
        _env_file=None,
        namespace=f"t{uuid.uuid4().hex[:12]}",
        postgres=PostgresSettings(url=postgres_url),
        qdrant=QdrantSettings(url=qdrant_url),
    )
    with opened(prepare(settings, folder)) as servers:
        try:
            yield Chain(servers.settings, servers)
        finally:
            _drop(servers)


def _drop(servers: Servers) -> None:
    rows(servers.settings, f"DROP SCHEMA {servers.settings.schema_name} CASCADE")
    for collection in servers.qdrant.get_collections().collections:
        if collection.name.startswith(servers.settings.namespace):
            servers.qdrant.delete_collection(collection.name)


def kindred(settings: Settings, *arguments: str) -> Any:
    """Run a command; what its --json says, with the exit code under `exit_code`."""
    said, exit_code = _run(settings, *arguments)
    return said | {"exit_code": exit_code}


def kindred_list(settings: Settings, *arguments: str) -> Any:
    """The same for a command that says a list."""
    return _run(settings, *arguments)[0]


def _run(settings: Settings, *arguments: str) -> tuple[Any, int]:
    result = CliRunner().invoke(app, [*arguments, "--json"], env=environment(settings))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    # A worker on another thread of this process may log meanwhile, and is captured as well.
    said = [line for line in result.stdout.splitlines() if not _LOGGED.match(line)]
    return json.loads("\n".join(said)), result.exit_code
