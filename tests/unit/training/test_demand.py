"""A half-life: the second half of a training asks about old targets less often."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import Tensor

from kindred.declaration import Declaration
from kindred.embedding.vocabulary import Bags
from kindred.training import learner as learners
from kindred.training.demand import odds
from kindred.training.event_log import EventLog
from kindred.training.learner import Learner
from kindred.training.objective import Competition
from kindred.training.options import TrainingOptions
from kindred.training.samples import Batch
from kindred.training.train import fresh_model
from logs import log_of

# Nothing but the very newest event is asked about in the second half.
SUDDEN = 1e-6


def learner_of(log: EventLog, declaration: Declaration, options: TrainingOptions) -> Learner:
    return Learner(fresh_model(log, declaration, options), log, np.ones(len(log), bool), options)


def asked_at(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Filled while epochs run: the share done at each step, and how many targets it had."""
    found: list[tuple[float, int]] = []

    def step(batch: Batch) -> float:
        found.append((learner.share_done, len(batch.events)))
        return 0.0

    monkeypatch.setattr(learner, "_step", step)
    return found


def test_a_target_is_asked_about_half_as_often_for_each_half_life_of_its_age() -> None:
    log = log_of(("u", "a", 0), ("u", "b", 2), ("u", "c", 4))
    np.testing.assert_allclose(odds(log, 2.0), [0.25, 0.5, 1.0])


def test_the_second_half_may_begin_within_an_epoch(
    shop: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(shop, film_shop, TrainingOptions(epochs=1, half_life_days=SUDDEN))
    found = asked_at(learner, monkeypatch)
    learner.run_epoch(1)
    assert 10 < len(found) < 40
    assert sum(targets for share, targets in found if share >= 0.5) <= 1


def test_the_second_half_of_a_budget_is_one_too_also_after_a_pause(
    shop: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainingOptions(epochs=1_000, max_minutes=100.0, half_life_days=SUDDEN)
    learner = learner_of(shop, film_shop, options)
    found = asked_at(learner, monkeypatch)
    learner.run_epoch(1)
    assert sum(targets for _, targets in found) == len(shop)
    found.clear()
    learner.restore(learner.state(), share_done=0.6, seconds=60 * 60.0)
    learner.run_epoch(2)
    assert sum(targets for _, targets in found) <= 1


def test_in_batch_candidates_are_as_likely_as_the_half_draws_them(
    film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(("u", "a", 0), ("u", "b", 2), ("v", "b", 0), ("v", "c", 2))
    told: list[Tensor] = []

    def listening(bags: Bags, log_probability: Tensor, *read: Any) -> Competition:
        told.append(log_probability.exp())
        return Competition(bags, log_probability, *read)

    monkeypatch.setattr(learners, "Competition", listening)
    learner = learner_of(log, film_shop, TrainingOptions(epochs=2, half_life_days=2.0, loss="in-batch"))
    learner.run_epoch(1)
    np.testing.assert_allclose(told[0], np.array([2, 3, 2]) / 7, rtol=1e-6)
    learner.run_epoch(2)
    np.testing.assert_allclose(told[-1], np.array([0.5, 1.5, 1.0]) / 3, rtol=1e-6)
