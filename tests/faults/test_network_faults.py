"""What networks do to connections: the worker waits, says so, and catches up by itself."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from faults.scene import Scene
from proxy import Proxy, State
from running import beside, eventually, is_ready, metric, worker_process

SERVERS = ["postgres", "qdrant", "kafka"]
QUICK = {("postgres", "silent"), ("qdrant", "refusing"), ("kafka", "hanging-up")}
STATES: list[State] = ["refusing", "hanging-up", "silent", "half-open", "stalled"]
CASES = [
    pytest.param(server, state, marks=[] if (server, state) in QUICK else pytest.mark.slow)
    for server in SERVERS
    for state in STATES
]


@pytest.mark.parametrize(("server", "state"), CASES)
def test_an_outage_is_waited_out(scene: Scene, server: str, state: State) -> None:
    rebalances = scene.rebalances()
    proxy: Proxy = getattr(scene, server)
    scene.clicks()
    with proxy.being(state):
        scene.clicks()
        scene.away(server)
    scene.clicks()
    scene.settle()
    # Behind a Kafka that is away for longer than the session timeout the group forgets its members.
    assert server == "kafka" or scene.rebalances() == rebalances


def test_a_worker_without_work_says_so_too(scene: Scene) -> None:
    with scene.postgres.being("hanging-up"):
        scene.away("postgres")
    scene.settle()


@pytest.mark.parametrize("server", SERVERS)
def test_connections_cut_in_mid_stream(scene: Scene, server: str) -> None:
    proxy: Proxy = getattr(scene, server)
    for number_bytes in (1, 700, 9_000, 60_000):
        cuts = proxy.cuts
        proxy.cut_after(number_bytes)
        scene.clicks(100)
        eventually(lambda: proxy.cuts > cuts or scene.clicks(100))  # noqa: B023
    scene.clicks()
    scene.settle()


def test_a_slow_network_is_no_outage(scene: Scene) -> None:
    outages = metric(scene.settings, "kindred_outages_total")
    for proxy in (scene.postgres, scene.qdrant, scene.kafka):
        proxy.latency_seconds, proxy.bytes_per_second = 0.02, 1_000_000
    try:
        scene.clicks(200)
        eventually(lambda: scene.logged() == len(scene.events))
        scene.clicks(200)
        scene.settle()
    finally:
        for proxy in (scene.postgres, scene.qdrant, scene.kafka):
            proxy.latency_seconds, proxy.bytes_per_second = 0.0, math.inf
    assert metric(scene.settings, "kindred_outages_total") == outages


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_meanwhile_ends_in_good_order(scene: Scene, server: str, tmp_path: Path) -> None:
    proxy: Proxy = getattr(scene, server)
    partner = beside(scene.settings)
    with worker_process(partner, tmp_path / "partner.log") as worker:
        eventually(lambda: is_ready(partner) and metric(partner, "kindred_rebalances") > 0, 60)
        scene.settle(60)
        with proxy.being("silent"):
            scene.clicks()
            scene.away(server)
            began = time.monotonic()
            assert worker.stop() == 0  # -9 after 15 s
            print(f"stopped in {time.monotonic() - began:.1f} s")
    scene.settle(60)
