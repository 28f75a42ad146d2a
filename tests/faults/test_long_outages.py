"""A minute without a server, under load: the worker's memory stays flat, its place in the group is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from faults.scene import Scene, proxies
from proxy import Proxy, proxied
from running import eventually, is_alive, is_ready, metric, worker_process
from servers.namespace import fresh_namespace

MINUTE = 60
WARM, MORE = 4_000, 40_000
# What may wait in memory is bounded by batches: the mailbox's four, and one on its way in and in each step;
# and by what the client fetches ahead, 1 MB a partition of which nine are owned. Kept without a bound, the
# records alone would be 40 MB or more.
MOST_GROWTH_BYTES = 24_000_000


@pytest.fixture
def scene(kafka_bootstrap: str, postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Scene]:
    with (
        fresh_namespace(kafka_bootstrap, postgres_url, qdrant_url) as direct,
        proxied(f"http://{kafka_bootstrap}") as nobody_goes_here,
        proxies(direct, nobody_goes_here, tmp_path, batch_size=200) as scene,
    ):
        yield scene


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", ["postgres", "qdrant"])
def test_a_minute_away_under_load(scene: Scene, tmp_path: Path, server: str) -> None:
    proxy: Proxy = getattr(scene, server)
    with worker_process(scene.settings, tmp_path / "worker.log") as worker:
        scene.produce.films()
        scene.clicks(WARM)
        eventually(lambda: scene.logged() == WARM, 60)
        eventually(lambda: is_ready(scene.settings))
        rebalances, process = scene.rebalances(), psutil.Process(worker.pid)
        before = process.memory_info().rss
        with proxy.being("refusing"), sampled_rss(process) as samples:
            scene.clicks(MORE)
            scene.produce.flush(timeout_seconds=60)
            reason = scene.away(server)
            time.sleep(MINUTE)
            assert is_alive(scene.settings)
            assert metric(scene.settings, "kindred_lag_records") > MORE / 2
        grown = max(samples) - before
        began = time.monotonic()
        scene.settle(240)
        print(f"{server} away: {reason}; memory grew by {grown / 1e6:.1f} MB", end="; ")
        print(f"{MORE} events caught up in {time.monotonic() - began:.0f} s")
        assert scene.rebalances() == rebalances
        assert grown < MOST_GROWTH_BYTES


@contextmanager
def sampled_rss(process: psutil.Process) -> Iterator[list[int]]:
    """Resident bytes, every half second meanwhile."""
    samples, stop = [process.memory_info().rss], threading.Event()

    def sample() -> None:
        while not stop.wait(0.5):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
