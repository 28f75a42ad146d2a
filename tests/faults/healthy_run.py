"""A run without any fault, in which a little of everything happens; and ways to spoil what it left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from qdrant_client.models import PointStruct

from faults.expected import Barrier, Expected
from faults.oracle import applied, compared, settled
from faults.payloads import point_id
from kindred.composition import Servers
from kindred.history.connection import Database
from kindred.settings import Settings
from running import T0_MS, Sender, eventually, film, interaction, many, one

FLOOR_IS_KNOWN = "SELECT isfinite(retention_floor) FROM lineage"


@dataclass(frozen=True, slots=True)
class Healthy:
    """Its servers, and what they must hold."""

    servers: Servers
    must_be: Expected

    @property
    def settings(self) -> Settings:
        return self.servers.settings

    def later(self) -> Healthy:
        """As if every tombstone had reached the age at which it is reaped."""
        worker = self.settings.worker.model_copy(update={"max_batch_age_seconds": 0.0})
        return replace(
            self, servers=replace(self.servers, settings=self.settings.model_copy(update={"worker": worker}))
        )

    def differences(self) -> list[str]:
        return compared(self.servers, self.must_be)


def run(settings: Settings, produce: Sender) -> list[Barrier]:
    """Produce, and wait until a running worker has synced it all; returns the barriers."""
    eventually(lambda: one(settings, FLOOR_IS_KNOWN))
    produce.interactions(many(400, users=19))
    produce.films()
    produce.interactions(many(200, users=19, first=300))  # some of them for the second time
    produce("users", "u1", {"user_id": "u1", "updated_at": T0_MS, "country": "DE", "age_group": "18-24"})
    for erased in ("u2", "u3"):
        produce("users", erased, None)
    produce("items", "3", None)
    produce("items", "4", film("4", price=2.5, updated_at=T0_MS + 1) | {"year": 1999})
    produce("interactions", "nobody", {"event_id": "e"})
    barriers: list[Barrier] = [applied(settings)]
    back_at_ms = time.time_ns() // 1_000_000 + 1_000
    produce("users", "u3", {"user_id": "u3", "updated_at": back_at_ms, "country": "AT"})
    barriers.append(applied(settings))
    produce.interactions([interaction("u3", "5", 1) | {"occurred_at": back_at_ms + 1_000}])
    settled(settings)
    return barriers


@contextmanager
def changed_tables(database: Database, tables: Sequence[str], statements: Iterable[str]) -> Iterator[None]:
    """What the statements do to these tables is undone at the end."""
    _execute(database, [f"CREATE TABLE before_{table} AS TABLE {table}" for table in tables])
    try:
        _execute(database, statements)
        yield
    finally:
        for table in tables:
            back = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE before_{table}"
            _execute(database, [f"DELETE FROM {table}", back, f"DROP TABLE before_{table}"])


@contextmanager
def changed_point(
    servers: Servers, kind: str, external_id: str, payload: dict[str, Any] | None, vector: Any
) -> Iterator[None]:
    """A point with these payload fields or this vector, without it (`payload` None); restored at the end."""
    client, id_, collection = servers.qdrant, point_id(external_id), _live(servers, kind)
    before = client.retrieve(collection, [id_], with_payload=True, with_vectors=True)
    points = [PointStruct(id=id_, payload=each.payload, vector=each.vector or {}) for each in before]
    there = points[0] if points else PointStruct(id=id_, payload={}, vector={})
    client.delete(collection, [id_])
    if payload is not None:
        change = {
            "payload": (there.payload or {}) | payload,
            "vector": there.vector if vector is None else vector,
        }
        client.upsert(collection, [there.model_copy(update=change)])
    try:
        yield
    finally:
        client.delete(collection, [id_])
        if points:
            client.upsert(collection, points)


def _live(servers: Servers, kind: str) -> str:
    """The collection behind an alias."""
    alias = servers.names.users_alias if kind == "user" else servers.names.items_alias
    aliases = {each.alias_name: each.collection_name for each in servers.qdrant.get_aliases().aliases}
    return aliases[alias]


def _execute(database: Database, statements: Iterable[str]) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(statement)
