"""A broker frozen, killed and started again, a topic that is gone, and workers killed under it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from faults.scene import Broker, Scene
from kindred.errors import Misconfigured
from kindred.events.topics import delete_topics
from running import (
    beside,
    eventually,
    is_alive,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    running,
    worker_process,
)
from servers.namespace import fresh_namespace
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
NATIVE = "KINDRED_TEST_NATIVE=1 brings Apache Kafka"
pytestmark = pytest.mark.slow  # `make test` has a broker that is away in test_network_faults.py


@pytest.mark.parametrize("seconds", [1, 60])
def test_frozen(scene: Scene, kafka: Broker, seconds: float) -> None:
    rejoins = metric(scene.settings, "kindred_rejoins")
    scene.clicks(500)
    kafka.server.freeze()
    try:
        _stay_away(scene, seconds)
    finally:
        kafka.server.thaw()
    scene.clicks()
    _settle(scene)
    assert metric(scene.settings, "kindred_rejoins") == rejoins


@pytest.mark.parametrize("seconds", [1, 60])
def test_kill_9_and_a_restart_on_the_same_log(scene: Scene, kafka: Broker, seconds: float) -> None:
    if not kafka.is_native:
        pytest.skip(f"Tansu keeps everything in memory; {NATIVE}")
    rebalances = scene.rebalances()
    scene.clicks(500)
    kafka.server.kill()
    _stay_away(scene, seconds)
    kafka.server.start()
    scene.clicks()
    _settle(scene)
    assert scene.rebalances() == rebalances


def _stay_away(scene: Scene, seconds: float) -> None:
    scene.clicks()
    scene.away("kafka")
    time.sleep(seconds)
    assert is_alive(scene.settings)


def _settle(scene: Scene) -> None:
    began = time.monotonic()
    scene.settle(60)
    print(f"caught up {time.monotonic() - began:.1f} s after Kafka was back")


def test_a_topic_that_is_deleted_stops_the_worker(
    kafka: Broker, postgres_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    """Kafka takes the partitions away, and says no more about it."""
    if not kafka.is_native:
        pytest.skip(f"Tansu goes on naming a topic that is gone; {NATIVE}")
    with fresh_namespace(kafka.proxy.address, postgres_url, qdrant_url) as direct:
        settings = prepare(direct, tmp_path)
        with (  # noqa: PT012
            pytest.raises(Misconfigured, match=r"No such topic: .*interactions.*kindred topics create"),
            running(settings),
            producing(settings) as produce,
        ):
            eventually(lambda: is_ready(settings))
            produce.interactions(many(30))
            eventually(lambda: one(settings, LOGGED) == 30)
            delete_topics(settings)
            eventually(lambda: not is_alive(settings), 60)


@pytest.mark.timeout(300)
def test_partitions_of_a_killed_worker_are_served_again(
    kafka: Broker, postgres_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    """After the default session timeout of 10 s, and what it takes to notice and to assign anew."""
    within = 15 if kafka.is_native else 30  # Tansu's rebalances take half the session timeout
    with fresh_namespace(kafka.proxy.address, postgres_url, qdrant_url) as settings:
        default = settings.kafka.model_copy(update={"session_timeout_ms": 10_000})
        settings = prepare(settings.model_copy(update={"kafka": default}), tmp_path)
        partner, events = beside(settings), many(240)
        with running(settings), producing(settings) as produce:
            eventually(lambda: is_ready(settings))
            for round_ in range(3):
                with worker_process(partner, tmp_path / f"{round_}.log") as victim:
                    eventually(lambda: is_ready(partner) and metric(partner, "kindred_rebalances") > 0, 60)
                    produce.interactions(events[80 * round_ : 80 * round_ + 40])
                    eventually(lambda: one(settings, LOGGED) == 80 * round_ + 40)  # noqa: B023
                    victim.kill()
                    killed = time.monotonic()
                    produce.interactions(events[80 * round_ + 40 : 80 * round_ + 80])
                    eventually(lambda: one(settings, LOGGED) == 80 * round_ + 80, within)  # noqa: B023
                    print(f"served again {time.monotonic() - killed:.1f} s after kill -9")
            eventually(lambda: is_searchable(settings))
        assert_exact(settings, events)
