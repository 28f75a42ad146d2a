"""Three servers behind proxies, several worker processes, and all of it at the mercy of a test.

Servers come from the environment (KINDRED_TEST_KAFKA, …_POSTGRES_URL, …_QDRANT_URL), else Apache Kafka where
KINDRED_TEST_NATIVE=1, else the embedded ones. One from the environment is neither stopped nor killed; the
embedded broker and Qdrant keep everything in memory and are stopped, never killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from faults.schedule import THROUGH_PROXIES, Kind
from faults.worker_place import Worker
from http_faults import HttpFaults, http_faults
from kindred.local import broker, postgres
from kindred.local import qdrant as embedded_qdrant
from kindred.local.processes import accepts_connections, free_port
from kindred.local.server import Server
from kindred.local.servers import temporary_folder
from kindred.settings import Settings
from proxy import Proxy, proxied
from running import eventually, is_ready, prepare, ready
from servers.namespace import fresh_namespace
from servers.native import apache_kafka
from servers.restartable import Restartable, restartable

# What an installation with short outages would choose; each is longer than any honest answer here.
POSTGRES = {"statement_timeout_seconds": 5.0, "lock_timeout_seconds": 3.0}
QDRANT = {"timeout_seconds": 2.0}
# Tansu waits so long for a member that died in mid-rebalance, and keeps all others from joining meanwhile.
KAFKA = {"max_poll_interval_ms": 12_000, "join_timeout_seconds": 20.0}
WORKER = {
    "batch_size": 200,
    "max_batch_age_seconds": 10.0,
    "housekeeping_interval_seconds": 0.5,
    "popularity_interval_seconds": 2.0,
}


@dataclass(slots=True)
class Cluster:
    """`direct` leads past the proxies (not for Kafka, whose broker names its proxy), as a superuser."""

    direct: Settings
    kafka: Proxy | None
    postgres: Proxy
    qdrant: Proxy
    qdrant_http: HttpFaults
    servers: dict[str, Restartable]  # those that are ours: kafka, postgres, qdrant
    kinds: frozenset[Kind]
    source: dict[str, str]
    workers: list[Worker]
    spare: Worker  # not at work until somebody starts it

    def start(self) -> None:
        """Start the workers, and wait until all are ready."""
        for worker in self.workers:
            worker.start()
        eventually(self.is_ready, seconds=60)

    def is_ready(self) -> bool:
        return all(is_ready(worker.settings) for worker in self.workers)

    def readiness(self) -> dict[str, Any]:
        """What each worker's /readyz says; {} of one that does not answer."""
        return {worker.log.name: ready(worker.settings) for worker in self.workers}

    def look_after_workers(self) -> list[str]:
        """What must not happen: those that have ended by themselves. See `Worker.look_after`."""
        return [wrong for worker in (*self.workers, self.spare) if (wrong := worker.look_after())]

    def kill(self) -> None:
        """Kill the workers: what they leave was compared before."""
        for worker in (*self.workers, self.spare):
            worker.kill()

    @property
    def broker_proxy(self) -> Proxy:
        """Only where the broker is ours."""
        assert self.kafka is not None
        return self.kafka

    def superuser(self) -> psycopg.Connection[Any]:
        """In autocommit, past the proxy, with the schema in its path."""
        options = f"-c search_path={self.direct.schema_name} -c statement_timeout=30s"
        return psycopg.connect(self.direct.postgres.url, autocommit=True, connect_timeout=5, options=options)


@contextmanager
def cluster(folder: Path, workers: int, qdrant: dict[str, Any] = QDRANT, **worker: Any) -> Iterator[Cluster]:
    """All of it at work; stopped at the end, in whatever state it is. Workers' logs go to `folder`."""
    with ExitStack() as stack:
        servers: dict[str, Restartable] = {}
        source: dict[str, str] = {}
        kafka_address, kafka = stack.enter_context(_kafka(servers, source))
        postgres_url = stack.enter_context(_postgres(servers, source))
        qdrant_url = stack.enter_context(_qdrant(servers, source))
        direct = stack.enter_context(fresh_namespace(kafka_address, postgres_url, qdrant_url))
        postgres_proxy = stack.enter_context(proxied(postgres_url))
        http = stack.enter_context(http_faults(qdrant_url))
        qdrant_proxy = stack.enter_context(proxied(http.url))
        prepared = prepare(
            _through(direct, postgres_proxy.url, qdrant_proxy.url, qdrant), folder, **WORKER | worker
        )
        direct = direct.model_copy(update={"checkpoint": prepared.checkpoint, "worker": prepared.worker})
        places = [Worker(prepared, folder / f"worker-{place}.log") for place in range(workers + 1)]
        made = Cluster(
            direct, kafka, postgres_proxy, qdrant_proxy, http, servers,
            _kinds(servers, kafka, source), source, workers=places[:-1], spare=places[-1],
        )  # fmt: skip
        stack.callback(made.kill)
        made.start()
        yield made


def _through(direct: Settings, postgres_url: str, qdrant_url: str, qdrant: dict[str, Any]) -> Settings:
    return direct.model_copy(
        update={
            "kafka": direct.kafka.model_copy(update=KAFKA),
            "postgres": direct.postgres.model_copy(update={"url": postgres_url, **POSTGRES}),
            "qdrant": direct.qdrant.model_copy(update={"url": qdrant_url, **qdrant}),
        }
    )


def _kinds(servers: dict[str, Restartable], kafka: Proxy | None, source: dict[str, str]) -> frozenset[Kind]:
    """What can be done to these servers."""
    frozen = {kind for kind in Kind if kind.value.endswith("frozen") and kind.server in servers}
    killed = {Kind.POSTGRES_KILLED} if "postgres" in servers else set()
    if source["kafka"] == "Apache Kafka":
        killed.add(Kind.KAFKA_KILLED)
    possible = THROUGH_PROXIES | frozen | killed
    return frozenset(kind for kind in possible if kafka is not None or kind.server != "kafka")


@contextmanager
def _kafka(servers: dict[str, Restartable], source: dict[str, str]) -> Iterator[tuple[str, Proxy | None]]:
    """Its address for clients, and the proxy that stands there."""
    if address := os.environ.get("KINDRED_TEST_KAFKA"):
        source["kafka"] = "from the environment"
        yield address, None  # it names itself to its clients, who would go past any proxy
        return
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(_broker(port, source))
        servers["kafka"] = stack.enter_context(restartable(server))
        proxy = stack.enter_context(proxied(server.address, port))
        yield proxy.address, proxy


@contextmanager
def _broker(advertised_port: int, source: dict[str, str]) -> Iterator[Server]:
    if os.environ.get("KINDRED_TEST_NATIVE") == "1":
        source["kafka"], port = "Apache Kafka", free_port()
        advertised = f"advertised.listeners=PLAINTEXT://127.0.0.1:{advertised_port}"
        with apache_kafka(port, advertised) as process:
            yield Server(process, f"127.0.0.1:{port}", lambda: accepts_connections(port))
        return
    source["kafka"] = "embedded (Tansu)"
    with temporary_folder() as folder, broker.launch(folder, advertised_port) as server:
        yield server


@contextmanager
def _postgres(servers: dict[str, Restartable], source: dict[str, str]) -> Iterator[str]:
    if url := os.environ.get("KINDRED_TEST_POSTGRES_URL"):
        source["postgres"] = "from the environment"
        yield url
        return
    source["postgres"] = "embedded"
    with temporary_folder() as folder, postgres.launch(folder) as server, restartable(server) as held:
        # What was committed must outlive kill -9: the embedded one would lose its last moments.
        with psycopg.connect(server.address, autocommit=True) as connection:
            connection.execute("ALTER DATABASE postgres SET synchronous_commit = on")
        servers["postgres"] = held
        yield server.address


@contextmanager
def _qdrant(servers: dict[str, Restartable], source: dict[str, str]) -> Iterator[str]:
    if url := os.environ.get("KINDRED_TEST_QDRANT_URL"):
        source["qdrant"] = "from the environment"
        yield url
        return
    source["qdrant"] = "embedded (local mode)"
    with temporary_folder() as folder, embedded_qdrant.launch(folder) as server, restartable(server) as held:
        servers["qdrant"] = held
        yield server.address
