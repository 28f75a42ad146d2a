"""Servers in Docker, through testcontainers, with the very images that docker-compose.yml pins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from servers.ladder import NoServerError

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
START_TIMEOUT_SECONDS = 120


@contextmanager
def docker_kafka() -> Iterator[str]:
    """Apache Kafka (KRaft), one node."""
    from kindred.local.processes import accepts_connections, free_port

    _require_engine()
    # The broker tells clients its own address, so the host's port has to be known beforehand.
    port = free_port()
    container = _container("kafka").with_bind_ports(9092, port)
    host = container.get_container_host_ip()
    container.with_envs(**_kafka_environment(host, port))
    with _started(container):
        _wait(lambda: accepts_connections(port, host))
        yield f"{host}:{port}"


@contextmanager
def docker_postgres() -> Iterator[str]:
    """The Postgres that docker-compose.yml names."""
    from kindred.local.postgres import answers

    _require_engine()
    container = _container("postgres").with_exposed_ports(5432).with_env("POSTGRES_PASSWORD", "kindred")
    with _started(container):
        url = f"postgresql://postgres:kindred@{_host_and_port(container, 5432)}/postgres"
        _wait(lambda: answers(url))
        yield url


@contextmanager
def docker_qdrant() -> Iterator[str]:
    """The Qdrant that docker-compose.yml names."""
    from kindred.local.qdrant import answers

    _require_engine()
    container = _container("qdrant").with_exposed_ports(6333)
    with _started(container):
        url = f"http://{_host_and_port(container, 6333)}"
        _wait(lambda: answers(url))
        yield url


def _require_engine() -> None:
    import docker
    from docker.errors import DockerException

    try:
        docker.from_env(timeout=5).ping()
    except DockerException as error:
        raise NoServerError("no Docker engine answers") from error


def _container(service: str) -> DockerContainer:
    import yaml
    from testcontainers.core.container import DockerContainer

    return DockerContainer(yaml.safe_load(COMPOSE_FILE.read_text())["services"][service]["image"])


@contextmanager
def _started(container: DockerContainer) -> Iterator[None]:
    from docker.errors import DockerException

    try:
        container.start()
    except DockerException as error:
        raise NoServerError(f"Docker cannot start {container.image}: {error}") from error
    try:
        yield
    finally:
        container.stop()


def _kafka_environment(host: str, port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }


def _host_and_port(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready in {START_TIMEOUT_SECONDS} s")
        time.sleep(0.2)
