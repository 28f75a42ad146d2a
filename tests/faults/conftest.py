"""A scene for each module: one worker goes through its faults, one after another, as in real life."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.scene import Broker, Scene, at_work, proxies
from kindred.local import broker
from kindred.local.processes import accepts_connections, free_port
from kindred.local.server import Server
from kindred.local.servers import temporary_folder
from proxy import proxied
from servers.namespace import fresh_namespace
from servers.native import apache_kafka
from servers.restartable import restartable


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    """Of the module's own: Apache Kafka where it was asked for, otherwise Tansu."""
    port = free_port()
    with (
        temporary_folder() as folder,
        _launched(folder, port) as launched,
        restartable(launched) as server,
        proxied(server.address, port) as proxy,
    ):
        yield Broker(server, proxy, launched.process.name == "Apache Kafka")


@pytest.fixture(scope="module")
def scene(
    kafka: Broker, postgres_url: str, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    with (
        fresh_namespace(kafka.proxy.address, postgres_url, qdrant_url) as direct,
        proxies(direct, kafka.proxy, folder) as prepared,
        at_work(prepared) as scene,
    ):
        yield scene


@contextmanager
def _launched(folder: Path, advertised_port: int) -> Iterator[Server]:
    if os.environ.get("KINDRED_TEST_NATIVE") != "1":
        with broker.launch(folder, advertised_port) as server:
            yield server
        return
    port = free_port()
    advertised = f"advertised.listeners=PLAINTEXT://127.0.0.1:{advertised_port}"
    with apache_kafka(port, advertised) as process:
        yield Server(process, f"127.0.0.1:{port}", lambda: accepts_connections(port))
