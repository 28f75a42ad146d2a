"""Where each server may come from, in the order in which it is looked for."""

from __future__ import annotations

from servers.containers import docker_kafka, docker_postgres, docker_qdrant
from servers.embedded import embedded
from servers.ladder import Source, from_environment
from servers.native import native_kafka, native_qdrant


def kafka() -> dict[str, Source]:
    """Sources of a Kafka broker; the address is host:port."""
    from kindred.local import broker

    return {
        "KINDRED_TEST_KAFKA": from_environment("KINDRED_TEST_KAFKA"),
        "Docker": docker_kafka,
        "Apache Kafka from Maven": native_kafka,
        "embedded (Tansu)": embedded(broker.launch),
    }


def postgres() -> dict[str, Source]:
    """Sources of a Postgres; the address is a URL that libpq understands."""
    from kindred.local import postgres

    return {
        "KINDRED_TEST_POSTGRES_URL": from_environment("KINDRED_TEST_POSTGRES_URL"),
        "Docker": docker_postgres,
        "embedded": embedded(postgres.launch),
    }


def qdrant() -> dict[str, Source]:
    """Sources of a Qdrant; the address is its REST URL."""
    from kindred.local import qdrant

    return {
        "KINDRED_TEST_QDRANT_URL": from_environment("KINDRED_TEST_QDRANT_URL"),
        "Docker": docker_qdrant,
        "qdrant on PATH": native_qdrant,
        "embedded (local mode)": embedded(qdrant.launch),
    }
