"""A namespace that no other test uses, on servers that all tests share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from kindred.events.topics import create_topics, delete_topics
from kindred.local.broker import FETCH_MAX_WAIT_MS, SESSION_TIMEOUT_MS
from kindred.settings import KafkaSettings, PostgresSettings, QdrantSettings, Settings
from kindred.vectors.connection import connect

PARTITIONS = 3


@contextmanager
def fresh_namespace(kafka: str, postgres: str, qdrant: str) -> Iterator[Settings]:
    """Settings of a new namespace with its three topics; topics, schema and collections go at the end."""
    settings = Settings(
        _env_file=None,
        namespace=f"t{uuid.uuid4().hex[:12]}",
        kafka=KafkaSettings(
            bootstrap_servers=kafka,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        ),
        postgres=PostgresSettings(url=postgres),
        qdrant=QdrantSettings(url=qdrant),
    )
    create_topics(settings, PARTITIONS)
    try:
        yield settings
    finally:
        delete_topics(settings)
        _drop_schema(settings)
        _delete_collections(settings)


def _drop_schema(settings: Settings) -> None:
    statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(settings.schema_name))
    with psycopg.connect(settings.postgres.url, autocommit=True, options="-c lock_timeout=5s") as connection:
        connection.execute(statement)


def _delete_collections(settings: Settings) -> None:
    client = connect(settings.qdrant)
    for collection in client.get_collections().collections:
        if collection.name.startswith(settings.namespace):
            client.delete_collection(collection.name)
    client.close()
