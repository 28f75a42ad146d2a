"""Liveness and readiness, with reasons, and where they are served."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import httpx
import pytest

from kindred.errors import Misconfigured
from kindred.health import Health, served


def test_not_ready_before_the_group_is_joined() -> None:
    assert Health().reasons() == {"starting": "the worker has not joined its group yet"}


def test_reasons_come_and_go() -> None:
    health = Health()
    health.degraded("starting", None)
    health.outage("qdrant", "connection refused")
    health.degraded("interactions[1]", "paused: most records are poison")
    assert health.reasons() == {
        "interactions[1]": "paused: most records are poison",
        "qdrant is away": "connection refused",
    }
    health.answered("qdrant")
    health.degraded("interactions[1]", None)
    assert health.reasons() == {}


def test_a_server_that_answers_clears_nothing_else() -> None:
    health = Health()
    health.outage("qdrant", "away")
    health.answered("postgres")
    assert "qdrant is away" in health.reasons()


def test_a_call_that_hangs_is_a_reason_before_it_times_out() -> None:
    health = Health(slow_seconds=0)
    health.degraded("starting", None)
    with health.under_way("qdrant"):
        time.sleep(0.01)
        assert health.reasons() == {"qdrant is slow": "no answer for 0 s"}
    assert health.reasons() == {}


def test_alive_while_it_polls() -> None:
    health = Health(alive_seconds=0)
    assert not health.is_alive
    assert Health(alive_seconds=60).is_alive


def test_answers_over_http(free_port: int) -> None:
    health = Health()
    with (
        served(health, "127.0.0.1", free_port),
        httpx.Client(
            base_url=f"http://127.0.0.1:{free_port}", transport=httpx.HTTPTransport(retries=3)
        ) as client,
    ):
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        health.degraded("starting", None)
        assert client.get("/readyz").json() == {"ready": True, "reasons": {}}
        assert client.get("/healthz").status_code == 200
        assert "kindred_freshness_seconds_bucket" in client.get("/metrics").text


def test_a_dead_poller_fails_the_liveness_probe(free_port: int) -> None:
    with served(Health(alive_seconds=0), "127.0.0.1", free_port):
        assert httpx.get(f"http://127.0.0.1:{free_port}/healthz").status_code == 503


def test_a_port_that_is_taken_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=str(port)), served(Health(), "127.0.0.1", port):
            pass
