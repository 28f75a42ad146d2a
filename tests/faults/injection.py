"""How each fault is done, and undone: a context for each kind, in which it lasts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg

from faults.cluster import Cluster
from faults.schedule import Fault, Kind
from http_faults import Answers, AnswersLate, LosesReply
from http_faults import Fault as HttpFault
from proxy import Proxy, State

LATE_SECONDS = 0.5
LATENCY_SECONDS = 0.05
HOT = "SELECT user_id FROM app_user ORDER BY history_length DESC, user_id LIMIT 20"
LOCKS = {
    "rows": [f"SELECT FROM app_user WHERE user_id IN ({HOT}) ORDER BY user_id FOR UPDATE"],
    "table": ["LOCK TABLE interaction IN EXCLUSIVE MODE"],
    # Against the order that batches keep to: somebody is the victim, a batch or this.
    "deadlock": [
        f"SELECT FROM app_user WHERE user_id = (SELECT max(user_id) FROM ({HOT}) hot) FOR UPDATE",
        "SELECT pg_sleep(0.5)",
        f"SELECT FROM app_user WHERE user_id IN ({HOT}) ORDER BY user_id DESC FOR UPDATE",
    ],
}
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'kindred%'"

Injected = AbstractContextManager[None]


def injected(cluster: Cluster, fault: Fault) -> Injected:
    """The fault, while the block lasts."""
    return HOW[fault.kind](cluster, fault)


@contextmanager
def _worker_killed(cluster: Cluster, fault: Fault) -> Iterator[None]:
    worker = cluster.workers[fault.which]
    worker.kill()
    try:
        yield
    finally:
        worker.start()


@contextmanager
def _worker_frozen(cluster: Cluster, fault: Fault) -> Iterator[None]:
    worker = cluster.workers[fault.which]
    worker.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.signal(signal.SIGCONT)


@contextmanager
def _worker_leaves(cluster: Cluster, fault: Fault) -> Iterator[None]:
    worker = cluster.workers[fault.which]
    worker.stop()
    try:
        yield
    finally:
        worker.start()


@contextmanager
def _worker_joins(cluster: Cluster, _: Fault) -> Iterator[None]:
    cluster.spare.start()
    try:
        yield
    finally:
        cluster.spare.stop()


@contextmanager
def _frozen(cluster: Cluster, fault: Fault) -> Iterator[None]:
    server = cluster.servers[fault.kind.server]
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def _server_killed(cluster: Cluster, fault: Fault) -> Iterator[None]:
    server = cluster.servers[fault.kind.server]
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _failover(cluster: Cluster, _: Fault) -> Iterator[None]:
    with suppress(psycopg.Error), cluster.superuser() as connection:
        connection.execute(TERMINATE)
    yield


@contextmanager
def _locked(cluster: Cluster, fault: Fault) -> Iterator[None]:
    """By a transaction of ours, unless Postgres is away just then, or makes it a deadlock's victim."""
    connection = None
    with suppress(psycopg.Error):
        connection = cluster.superuser()
        connection.execute("BEGIN")
        for statement in LOCKS[str(fault.how)]:
            connection.execute(statement)
    try:
        yield
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def _unreachable(proxy: Proxy, fault: Fault) -> Iterator[None]:
    state: Any = fault.how
    with _become(proxy, state):
        yield


@contextmanager
def _become(proxy: Proxy, state: State) -> Iterator[None]:
    proxy.become(state)
    try:
        yield
    finally:
        proxy.become("open")


@contextmanager
def _cut(proxy: Proxy, fault: Fault) -> Iterator[None]:
    proxy.cut_after(int(fault.how))
    yield


@contextmanager
def _slow(proxy: Proxy) -> Iterator[None]:
    proxy.latency_seconds = LATENCY_SECONDS
    try:
        yield
    finally:
        proxy.latency_seconds = 0.0


@contextmanager
def _http(cluster: Cluster, fault: HttpFault) -> Iterator[None]:
    cluster.qdrant_http.fail(fault)
    try:
        yield
    finally:
        cluster.qdrant_http.heal()


HOW: dict[Kind, Callable[[Cluster, Fault], Injected]] = {
    Kind.WORKER_KILLED: _worker_killed,
    Kind.WORKER_FROZEN: _worker_frozen,
    Kind.WORKER_LEAVES: _worker_leaves,
    Kind.WORKER_JOINS: _worker_joins,
    Kind.POSTGRES_KILLED: _server_killed,
    Kind.POSTGRES_FROZEN: _frozen,
    Kind.POSTGRES_FAILOVER: _failover,
    Kind.POSTGRES_LOCKED: _locked,
    Kind.POSTGRES_CUT: lambda cluster, fault: _cut(cluster.postgres, fault),
    Kind.POSTGRES_UNREACHABLE: lambda cluster, fault: _unreachable(cluster.postgres, fault),
    Kind.QDRANT_FROZEN: _frozen,
    Kind.QDRANT_ERRORS: lambda cluster, fault: _http(cluster, Answers(int(fault.how))),
    Kind.QDRANT_SLOW: lambda cluster, _: _http(cluster, AnswersLate(LATE_SECONDS)),
    Kind.QDRANT_MUTE: lambda cluster, _: _http(cluster, LosesReply()),
    Kind.QDRANT_UNREACHABLE: lambda cluster, fault: _unreachable(cluster.qdrant, fault),
    Kind.KAFKA_KILLED: _server_killed,
    Kind.KAFKA_FROZEN: _frozen,
    Kind.KAFKA_CUT: lambda cluster, fault: _cut(cluster.broker_proxy, fault),
    Kind.KAFKA_SLOW: lambda cluster, _: _slow(cluster.broker_proxy),
    Kind.KAFKA_UNREACHABLE: lambda cluster, fault: _unreachable(cluster.broker_proxy, fault),
}
