"""Clocks that jump, and joins that hang: neither loses anything, nor needs anybody."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from faults import clock_that_jumps
from faults.oracle import differences, settled
from kindred.local.processes import ChildProcess
from kindred.settings import Settings
from running import (
    environment,
    eventually,
    interaction,
    is_alive,
    is_ready,
    many,
    metric,
    one,
    prepare,
    privileged,
    producing,
    ready,
    running,
)

DAY_SECONDS = 86_400
JUMP_AFTER_SECONDS = 12
LOGGED = "SELECT count(*) FROM interaction"


@pytest.mark.parametrize("days", [-3, pytest.param(3, marks=pytest.mark.slow)])
def test_a_worker_whose_clock_jumps_takes_fresh_events_all_the_same(
    settings: Settings, tmp_path: Path, days: int
) -> None:
    """Times are judged by the record's own timestamp (rule 12), ages by clocks that nobody sets."""
    settings = prepare(settings, tmp_path)
    script = [clock_that_jumps.__file__, str(days * DAY_SECONDS), str(JUMP_AFTER_SECONDS)]
    began = time.monotonic()
    with (
        producing(settings) as produce,
        ChildProcess(
            "worker", [sys.executable, *script], log=tmp_path / "log", environment=environment(settings)
        ),
    ):
        produce.films()
        produce.interactions([clicked(number) for number in range(100)])
        eventually(lambda: one(settings, LOGGED) == 100, seconds=60)
        time.sleep(max(0.0, began + JUMP_AFTER_SECONDS + 1 - time.monotonic()))
        produce.interactions([clicked(number) for number in range(100, 300)])
        produce("users", "u1", None)
        settled(privileged(settings))
        assert is_ready(settings)
    assert one(settings, "SELECT count(*) FROM dead_letter") == 0
    assert differences(privileged(settings)) == []


def test_a_join_that_hangs_is_noticed_and_tried_anew(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first consumer never joins and says nothing, as the client's sometimes do."""
    hung: list[KafkaConsumer] = []
    honest = KafkaConsumer.poll

    def poll(self: KafkaConsumer, timeout_ms: int = 0, **options: Any) -> Any:
        if not hung:
            hung.append(self)
        if self is hung[0]:
            time.sleep(timeout_ms / 1_000)
            return {}
        return honest(self, timeout_ms, **options)

    monkeypatch.setattr(KafkaConsumer, "poll", poll)
    kafka = settings.kafka.model_copy(update={"join_timeout_seconds": 4.0})
    settings = prepare(settings.model_copy(update={"kafka": kafka}), tmp_path)
    with running(settings), producing(settings) as produce:
        produce.interactions(many(100))
        eventually(lambda: hung)  # before the oracle polls, too
        assert "starting" in ready(settings)["reasons"]
        assert is_alive(settings)
        settled(privileged(settings))
        eventually(lambda: is_ready(settings))
        assert metric(settings, "kindred_rejoins") >= 1
    assert differences(privileged(settings)) == []


def clicked(number: int) -> dict[str, Any]:
    """Just now."""
    return interaction(f"u{number % 10}", str(number % 7), number) | {
        "occurred_at": time.time_ns() // 1_000_000
    }
