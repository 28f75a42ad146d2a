"""What Kafka refuses for good ends a worker, with a sentence that names the setting."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kindred.composition import run_worker
from kindred.errors import Misconfigured
from kindred.settings import Settings
from running import beside, eventually, is_ready, many, prepare, producing
from truth import assert_exact, is_searchable

pytestmark = pytest.mark.skipif(
    os.environ.get("KINDRED_TEST_NATIVE") != "1",
    reason="Tansu minds neither; KINDRED_TEST_NATIVE=1 brings Apache Kafka",
)


def changed(settings: Settings, **kafka: object) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})


@pytest.mark.timeout(60)
def test_a_session_timeout_outside_the_brokers_limits(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(changed(settings, session_timeout_ms=5_000), tmp_path)
    with pytest.raises(Misconfigured, match=r"SESSION_TIMEOUT_MS within.*group\.min\.session\.timeout\.ms"):
        run_worker(settings, threading.Event())


@pytest.mark.timeout(90)
def test_an_instance_id_that_two_workers_have(settings: Settings, tmp_path: Path) -> None:
    """The later one takes the place of the earlier, which learns of it when it commits."""
    settings = prepare(changed(settings, group_instance_id="worker-0"), tmp_path)
    later, stop = beside(settings), threading.Event()
    events = many(30)
    with ThreadPoolExecutor(2) as pool, producing(settings) as produce:
        first = pool.submit(run_worker, settings, stop)
        eventually(lambda: is_ready(settings))
        second = pool.submit(run_worker, later, stop)
        try:
            eventually(lambda: is_ready(later))
            produce.interactions(events)
            with pytest.raises(Misconfigured, match=r"its own KINDRED_KAFKA__GROUP_INSTANCE_ID"):
                first.result(timeout=60)
            eventually(lambda: is_searchable(later))
        finally:
            stop.set()
            second.result(timeout=30)
    assert_exact(later, events)
