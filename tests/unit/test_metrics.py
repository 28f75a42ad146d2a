"""The freshness histogram counts a batch at once, and reads like any other of Prometheus'."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from kindred.metrics import FRESHNESS_BOUNDS_SECONDS, Freshness


@pytest.fixture
def freshness() -> Freshness:
    return Freshness()


def buckets(freshness: Freshness) -> dict[str, float]:
    """Cumulative counts by upper bound."""
    (family,) = freshness.collect()
    return {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}


def test_the_bounds_reach_from_a_millisecond_to_a_minute_in_steps_of_a_fifth() -> None:
    assert FRESHNESS_BOUNDS_SECONDS[0] == 0.001
    assert FRESHNESS_BOUNDS_SECONDS[-1] == pytest.approx(56.3, abs=0.1)
    steps = np.diff(np.log(FRESHNESS_BOUNDS_SECONDS))
    np.testing.assert_allclose(steps, np.log(1.2), rtol=2e-3)


def test_an_observation_falls_below_its_bound(freshness: Freshness) -> None:
    bound = FRESHNESS_BOUNDS_SECONDS[10]
    freshness.observe(np.array([bound, bound * 1.01, 1e6, 0.0]))
    counted = buckets(freshness)
    assert counted[str(FRESHNESS_BOUNDS_SECONDS[9])] == 1  # the zero
    assert counted[str(bound)] == 2  # a bound includes itself
    assert counted[str(FRESHNESS_BOUNDS_SECONDS[11])] == 3
    assert counted["+Inf"] == 4


def test_counts_and_sum_add_up_over_batches(freshness: Freshness) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.exponential(0.1, 500) for _ in range(4)]
    for seconds in batches:
        freshness.observe(seconds)
    everything = np.concatenate(batches)
    for bound, count in buckets(freshness).items():
        assert count == (everything <= float(bound)).sum()
    (family,) = freshness.collect()
    total = next(sample.value for sample in family.samples if sample.name.endswith("_sum"))
    assert total == pytest.approx(everything.sum())


def test_an_empty_batch_counts_nothing(freshness: Freshness) -> None:
    freshness.observe(np.array([], np.float64))
    assert set(buckets(freshness).values()) == {0}


def test_it_is_served_as_a_histogram(freshness: Freshness) -> None:
    registry = CollectorRegistry()
    registry.register(freshness)
    text = generate_latest(registry).decode()
    assert "# TYPE kindred_freshness_seconds histogram" in text
    assert "kindred_freshness_seconds_count 0.0" in text
