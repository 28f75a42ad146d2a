"""SIGTERM in the middle of a backlog: a worker ends in good order, and another one goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kindred.settings import Settings
from proxy import proxied
from running import (
    beside,
    committed,
    eventually,
    is_ready,
    many,
    one,
    prepare,
    producing,
    running,
    worker_process,
)
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"


def test_sigterm_ends_in_order_and_the_next_worker_finishes(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path, batch_size=20), many(6_000)
    with producing(settings) as produce:
        produce.films()
        produce.interactions(events)
    with worker_process(settings, tmp_path / "first.log") as first:
        eventually(lambda: one(settings, LOGGED) > 200)
        began = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - began < 10
    logged = one(settings, LOGGED)
    assert logged < len(events), "the backlog was too small to stop in the middle of it"
    done = sum(offset for (topic, _), offset in committed(settings).items() if topic == "interactions")
    assert 0 < done <= logged
    assert "Traceback" not in (tmp_path / "first.log").read_text()

    second = beside(settings, batch_size=2_000)
    with running(second):
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
        assert_exact(settings, events)


@pytest.mark.slow
def test_sigterm_while_qdrant_is_silent_ends_in_ten_seconds_too(settings: Settings, tmp_path: Path) -> None:
    with proxied(settings.qdrant.url) as proxy:
        qdrant = settings.qdrant.model_copy(update={"url": proxy.url})
        settings = prepare(settings.model_copy(update={"qdrant": qdrant}), tmp_path)
        with producing(settings) as produce, worker_process(settings, tmp_path / "worker.log") as worker:
            eventually(lambda: is_ready(settings))
            proxy.become("silent")
            produce.interactions(many(20))
            eventually(lambda: one(settings, LOGGED) == 20)
            began = time.monotonic()
            assert worker.stop() == 0
            assert time.monotonic() - began < 10
        assert sum(committed(settings).values()) == 0
