"""What the demo compares, and how it reads a worker's metrics."""

from __future__ import annotations

import numpy as np
import pytest

from kindred import declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import untrained
from kindred.local.dataset import time_us_of
from kindred.local.demo.declaration_file import to_toml
from kindred.local.demo.options import DemoOptions
from kindred.local.demo.recall import FrozenScorer, compare
from kindred.local.demo.scenario import Scenario, load
from kindred.local.demo.worker_process import Sample, freshness_ms
from kindred.training.evaluate import ModelScorer

NOW_US = 1_790_000_000_000_000
ODD = declaration.Declaration(
    events={"rated 1★": declaration.EventType(declaration.Role.NEGATIVE, seen=False)},
    item={'"quoted".dotted': declaration.Feature(declaration.Kind.VECTOR, width=3, filter=False)},
    payload={"back\\slash": declaration.PayloadField(declaration.PayloadKind.BOOL)},
    user_id_buckets=7,
)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load(DemoOptions(events=2_000), NOW_US)


@pytest.fixture(scope="module")
def embedder(scenario: Scenario) -> Embedder:
    return Embedder(untrained(scenario.dataset.declaration), "untrained")


def test_nothing_lies_ahead_of_the_clock(scenario: Scenario) -> None:
    assert max(map(time_us_of, scenario.dataset.in_time_order())) <= NOW_US


def test_every_value_is_streamed_once(scenario: Scenario) -> None:
    streamed = [*scenario.items_before, *scenario.before, *scenario.after]
    assert sorted(map(repr, streamed)) == sorted(map(repr, scenario.dataset.in_time_order()))


def test_training_knows_nothing_from_the_cut_on(scenario: Scenario) -> None:
    assert scenario.training_log.times_us.max() < scenario.cut_us
    assert len(scenario.training_log) == pytest.approx(0.8 * len(scenario.log), rel=0.01)


def test_frozen_vectors_differ_from_fresh_ones_only_by_later_events(
    scenario: Scenario, embedder: Embedder
) -> None:
    log = scenario.log
    users = np.flatnonzero(np.diff(scenario.training_log.offsets))[:20]
    first_after = log.offsets[users] + np.diff(scenario.training_log.offsets)[users]
    has_later = first_after < log.offsets[users + 1]
    histories = log.histories(first_after[has_later])  # nothing has happened between cut and event
    frozen = FrozenScorer(embedder, log, scenario.cut_us).scores(histories)
    np.testing.assert_allclose(frozen, ModelScorer(embedder, log).scores(histories), atol=1e-4)


def test_both_groups_are_compared_on_at_most_so_many_events(scenario: Scenario, embedder: Embedder) -> None:
    known, new = compare(embedder, scenario.log, scenario.cut_us, at_most=50)
    assert known.compared == 50 < known.events
    assert new.compared == min(50, new.events)
    assert all(0 <= gain.frozen <= 1 for gain in known.gains.values())


@pytest.mark.parametrize("declared", [declaration.load(), ODD])
def test_a_declaration_survives_its_file(declared: declaration.Declaration) -> None:
    assert declaration.parse(to_toml(declared), "test") == declared


def test_freshness_counts_only_what_lies_between_two_samples() -> None:
    bounds = np.array([0.1, 0.2, 0.4, np.inf])
    before = Sample(0.0, 100, 0, bounds, np.array([100.0, 100.0, 100.0, 100.0]))
    after = Sample(1.0, 200, 0, bounds, np.array([100.0, 150.0, 200.0, 200.0]))
    assert freshness_ms(before, after, 0.5) == pytest.approx(200)
    assert freshness_ms(before, after, 0.75) == pytest.approx(300)
    assert freshness_ms(after, after, 0.5) is None
