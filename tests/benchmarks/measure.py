"""The measurements: a worker as a process of its own, read through its /metrics."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import load
import numpy as np
import psutil
from kafka import KafkaProducer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from kindred.embedding.embedder import Embedder
from kindred.events.access import client_options
from kindred.history.window import Histories, Item
from kindred.settings import Settings

DONE = "kindred_records_total"


class Worker:
    """A running `kindred worker`, seen from outside."""

    def __init__(self, settings: Settings, process: subprocess.Popen[bytes], port: int) -> None:
        self._settings = settings
        self.process = process
        self._url = f"http://127.0.0.1:{port}"

    def samples(self) -> dict[str, float]:
        """Every sample of /metrics by name and label values."""
        if self.process.poll() is not None:
            raise SystemExit(f"the worker ended with {self.process.returncode}")
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            "/".join([sample.name, *sample.labels.values()]): sample.value
            for family in families
            for sample in family.samples
        }

    def records(self) -> float:
        return sum(value for name, value in self.samples().items() if name.startswith(DONE))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self._url}/readyz", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None:
                    raise SystemExit(f"the worker ended with {self.process.returncode}") from None
                time.sleep(0.05)
        raise SystemExit("the worker did not become ready in 120 s")

    def wait_for_backfill(self, points: int, console: Console) -> float:
        """Points/s while the first model embeds everybody through pending_sync."""
        began = time.perf_counter()
        written = 0.0
        while written < points:
            time.sleep(0.2)
            samples = self.samples()
            written = sum(samples.get(f"kindred_points_written_total/{kind}", 0) for kind in ("user", "item"))
        rate = points / (time.perf_counter() - began)
        console.print(f"first model: {points:,} points at {rate:,.0f}/s")
        return rate

    def rate(self, events: int) -> float:
        """Events/s from the first finished batch to the last."""
        while (first := self.records()) == 0:
            time.sleep(0.01)
        began = time.perf_counter()
        while (seen := self.records()) < events:
            time.sleep(0.02)
        return (seen - first) / (time.perf_counter() - began)

    def freshness(self, events: load.Events, rate: int, seconds: int, console: Console) -> dict[str, float]:
        """Record timestamp to searchable, at a steady rate, after two seconds of warming up."""
        produce_steadily(self._settings, events, rate, 2)
        time.sleep(1)
        before = self.samples()
        produce_steadily(self._settings, events, rate, seconds)
        time.sleep(2)
        after = self.samples()
        p50, p99 = (quantile(before, after, share) for share in (0.5, 0.99))
        console.print(f"freshness at {rate:,} events/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        return {"freshness_p50_ms": p50, "freshness_p99_ms": p99}

    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)


@contextmanager
def worker(settings: Settings, *command: str) -> Iterator[Worker]:
    """Started and ready; stopped by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = command or (sys.executable, "-m", "kindred.cli", "worker")
    process = subprocess.Popen(arguments, env=environment(settings, port))
    running = Worker(settings, process, port)
    try:
        running.wait_until_ready()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


def environment(settings: Settings, port: int) -> dict[str, str]:
    return os.environ | {
        "KINDRED_NAMESPACE": settings.namespace,
        "KINDRED_CHECKPOINT": str(settings.checkpoint),
        "KINDRED_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KINDRED_KAFKA__SESSION_TIMEOUT_MS": str(settings.kafka.session_timeout_ms),
        "KINDRED_KAFKA__FETCH_MAX_WAIT_MS": str(settings.kafka.fetch_max_wait_ms),
        "KINDRED_POSTGRES__URL": settings.postgres.url,
        "KINDRED_POSTGRES__HISTORY_LIMIT": str(settings.postgres.history_limit),
        "KINDRED_QDRANT__URL": settings.qdrant.url,
        "KINDRED_WORKER__HTTP_HOST": "127.0.0.1",
        "KINDRED_WORKER__HTTP_PORT": str(port),
    }


def sustained(settings: Settings, events: load.Events, count: int, console: Console) -> dict[str, Any]:
    """A backlog of `count` events, about one a user, worked off by a worker that finds it at its start."""
    load.produce(settings, events.make(count))
    with worker(settings) as running:
        rate = running.rate(count)
        samples, rss_mb = running.samples(), running.rss_mb()
    stages = {
        name.partition("/")[2]: value
        for name, value in samples.items()
        if name.startswith("kindred_stage_seconds_total")
    }
    console.print(f"sustained: {rate:,.0f} events/s")
    return {"events_per_second": rate, "rss_mb": rss_mb, "stages": stages}


def burst(settings: Settings, events: load.Events, console: Console) -> dict[str, float]:
    """20,000 events on 5,000 users who start empty."""
    load.produce(settings, events.make(20_000, first_user=10_000_000, users=5_000))
    with worker(settings) as running:
        rate = running.rate(20_000)
    console.print(f"burst: {rate:,.0f} events/s")
    return {"burst_events_per_second": rate}


def without_qdrant(settings: Settings, events: load.Events, count: int, console: Console) -> dict[str, float]:
    """The same chain with the upsert left out: local-mode Qdrant is pure Python."""
    load.produce(settings, events.make(count))
    with worker(settings, sys.executable, __file__, "without-qdrant") as running:
        rate = running.rate(count)
    console.print(f"without the upsert: {rate:,.0f} events/s")
    return {"events_per_second_without_qdrant": rate}


def embedded_per_second(settings: Settings, console: Console, users: int = 4_000) -> float:
    """Users/s of the tower alone, full windows, numpy in and out."""
    embedder = Embedder.load(
        settings.checkpoint, dtype=settings.worker.dtype, threads=settings.worker.threads
    )
    items = [Item(n, str(n), None, load.film(n), False, 1, 0.0) for n in range(1, 10_001)]
    embedder.update_items(items)
    generator, window = np.random.default_rng(1), settings.postgres.history_limit
    histories = Histories(
        user_ids=[str(number) for number in range(users)],
        profiles=[{"country": "DE"}] * users,
        offsets=np.arange(users + 1, dtype=np.int64) * window,
        items=generator.integers(1, 10_001, users * window).astype(np.int32),
        types=np.ones(users * window, np.int16),
        times_us=np.sort(generator.integers(0, 10**15, (users, window)), axis=1).ravel(),
        type_names=["", "watch"],
        history_lengths=[window] * users,
    )
    embedder.embed(histories)
    began = time.perf_counter()
    embedder.embed(histories)
    rate = users / (time.perf_counter() - began)
    console.print(f"tower: {rate:,.0f} users/s on {settings.worker.threads} thread, {settings.worker.dtype}")
    return rate


def produce_steadily(settings: Settings, events: load.Events, rate: int, seconds: int) -> None:
    """`rate` events a second, in steps of 5 ms."""
    producer = KafkaProducer(**client_options(settings.kafka), linger_ms=0)
    topic = settings.topic(settings.kafka.interactions_topic)
    began, sent = time.perf_counter(), 0
    made = list(events.make(rate * seconds))
    while sent < len(made):
        due = min(len(made), int((time.perf_counter() - began) * rate) + 1)
        for key, value in made[sent:due]:
            producer.send(topic, key=key, value=value)
        sent = due
        time.sleep(0.005)
    producer.flush()
    producer.close()


def quantile(before: dict[str, float], after: dict[str, float], share: float) -> float:
    """Milliseconds, interpolated within the histogram's bucket (bounds grow by a fifth)."""
    prefix = "kindred_freshness_seconds_bucket/"
    bounds = [
        (float(name.removeprefix(prefix)), after[name] - before.get(name, 0))
        for name in after
        if name.startswith(prefix)
    ]
    bounds.sort()
    wanted, low, counted = share * bounds[-1][1], 0.0, 0.0
    for bound, cumulative in bounds:
        if cumulative >= wanted:
            inside = (wanted - counted) / max(cumulative - counted, 1)
            return 1000 * (low + (min(bound, 120.0) - low) * inside)
        low, counted = bound, cumulative
    return float("nan")


if __name__ == "__main__":  # `measure.py without-qdrant`: a worker whose upserts go nowhere
    from kindred.cli import main
    from kindred.vectors.index import Index

    Index.write_users = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    sys.argv[1:] = ["worker"]
    main()
