"""How far behind a worker says it is, and when it says that nothing moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest

from kindred import lag
from kindred.events.gaps import Gaps
from kindred.events.source import Partition, Source
from kindred.lag import Lag
from kindred.metrics import REGISTRY
from kindred.settings import KafkaSettings

CLICKS, FILMS = ("clicks", 0), ("films", 2)


class Brokers:
    """What a Source says of brokers that answer."""

    rebalances, rejoins, gaps = 1, 0, Gaps(KafkaSettings())
    stopped: frozenset[Partition] = frozenset()
    unreadable: Mapping[Partition, str] = {}

    is_behind = False

    def __init__(self) -> None:
        self.ends: dict[Partition, int] = {CLICKS: 10, FILMS: 3}
        self.behind_transactions: dict[Partition, int] = {}

    def end_offsets(self) -> dict[Partition, int]:
        return self.ends

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def caught_up(self, synced: Mapping[Partition, int]) -> dict[Partition, int]:
        return self.behind_transactions


class Clock:
    """Stands still until it is set."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lag, "monotonic", clock)
    return clock


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    monkeypatch.setattr(lag, "INTERVAL_SECONDS", 0.0)
    return Brokers()


def test_lag_is_what_is_not_synced_and_ends_of_transactions_are_none(brokers: Brokers) -> None:
    measured = _begun(brokers)
    measured.note({CLICKS: 4, FILMS: 2})
    assert _lags(measured) == {CLICKS: 6, FILMS: 1}
    brokers.behind_transactions = {FILMS: 3}
    assert _lags(measured) == {CLICKS: 6, FILMS: 0}


def test_what_waits_for_long_is_named_until_it_moves(brokers: Brokers, clock: Clock) -> None:
    measured = _begun(brokers)
    measured.note({CLICKS: 10, FILMS: 2})
    assert _standstill(measured) is None
    clock.now += 59
    assert _standstill(measured) is None
    clock.now += 2
    assert "films[2]" in str(_standstill(measured))
    assert "clicks" not in str(_standstill(measured))
    brokers.ends[FILMS] = 50
    measured.note({FILMS: 4})  # far behind, but on its way
    assert _standstill(measured) is None


def test_a_paused_partition_has_a_reason_of_its_own(brokers: Brokers, clock: Clock) -> None:
    measured, brokers.stopped, brokers.unreadable = _begun(brokers), frozenset({CLICKS}), {FILMS: "damaged"}
    clock.now += 100
    assert _standstill(measured) is None


def test_a_partition_that_waits_for_others_backlogs_does_not_stand_still(
    brokers: Brokers, clock: Clock
) -> None:
    measured, brokers.is_behind = _begun(brokers), True
    clock.now += 100
    assert _standstill(measured) is None
    brokers.is_behind = False
    assert _standstill(measured) is None
    clock.now += 61
    assert _standstill(measured) is not None


def _begun(brokers: Brokers) -> Lag:
    """It knows the assignment."""
    begun = Lag(cast("Source", brokers))
    assert begun.measure()
    return begun


def _standstill(measured: Lag) -> str | None:
    assert measured.measure()
    return measured.standstill


def _lags(measured: Lag) -> Mapping[Partition, Any]:
    assert measured.measure()
    return {
        each: REGISTRY.get_sample_value("kindred_lag_records", {"topic": each[0], "partition": str(each[1])})
        for each in (CLICKS, FILMS)
    }
