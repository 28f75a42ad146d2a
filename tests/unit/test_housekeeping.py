"""A task that fails shows until it has succeeded. What the tasks do is tested on real servers."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from kindred.errors import Misconfigured, Outage
from kindred.health import Health
from kindred.operations import housekeeping
from kindred.operations.housekeeping import Housekeeping
from kindred.settings import Settings

TASK = "housekeeping: partitions"


@pytest.fixture
def health() -> Health:
    health = Health()
    health.degraded("starting", None)
    return health


@pytest.fixture
def housekeeper(monkeypatch: pytest.MonkeyPatch, health: Health) -> Housekeeping:
    """Whose tasks do nothing."""
    for name in (
        "_keep_partitions",
        "_keep_popularity",
        "_keep_reaping",
        "_keep_searching",
        "_keep_sweeping",
    ):
        monkeypatch.setattr(Housekeeping, name, lambda self: None)
    monkeypatch.setattr(housekeeping.sweeps, "pending_count", lambda database: 0)
    unused: Any = None
    index: Any = SimpleNamespace(points=None)
    return Housekeeping(unused, index, Settings(_env_file=None), health)


def fails(*_: object) -> None:
    raise Misconfigured("the role may not do that")


def test_a_task_that_fails_shows_until_it_has_succeeded(
    monkeypatch: pytest.MonkeyPatch, housekeeper: Housekeeping, health: Health
) -> None:
    done = []
    with monkeypatch.context() as broken:
        broken.setattr(housekeeper, "_keep_partitions", fails)
        broken.setattr(housekeeper, "_keep_reaping", lambda: done.append("reaping"))
        for _ in range(3):
            housekeeper._turn()
        assert health.reasons() == {TASK: "stands still: the role may not do that"}
        assert done == ["reaping"]
    assert housekeeper._due["partitions"] <= time.monotonic() + housekeeping.RETRY_SECONDS
    housekeeper._due["partitions"] = 0.0
    housekeeper._turn()
    assert health.reasons() == {}


def test_what_a_worker_failed_at_is_another_ones_task_once_it_leads_no_more(
    monkeypatch: pytest.MonkeyPatch, housekeeper: Housekeeping, health: Health
) -> None:
    monkeypatch.setattr(housekeeper, "_keep_partitions", fails)
    housekeeper._turn()
    assert TASK in health.reasons()
    housekeeper._hand_over()
    assert health.reasons() == {}


def test_a_task_for_which_postgres_is_too_busy_again_and_again_shows(
    monkeypatch: pytest.MonkeyPatch, housekeeper: Housekeeping, health: Health
) -> None:
    def is_busy() -> None:
        raise Outage("postgres", "canceling statement due to statement timeout", is_busy=True)

    with monkeypatch.context() as broken:
        broken.setattr(housekeeper, "_keep_searching", is_busy)
        shown = []
        for _ in range(housekeeping.PUT_OFF_TIMES):
            shown.append(health.reasons())
            housekeeper._turn()
        assert shown == housekeeping.PUT_OFF_TIMES * [{}]
        assert "statement timeout" in health.reasons()["housekeeping: letters"]
    housekeeper._turn()
    assert health.reasons() == {}
