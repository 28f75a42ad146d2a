from __future__ import annotations

import numpy as np
import pytest

from kindred.training import intervals
from kindred.training.intervals import Bootstrap, bootstrap


def test_a_bootstrap_interval_holds_the_mean_and_narrows_with_more_cases() -> None:
    values = np.random.default_rng(0).random(4_000)
    few, many = bootstrap(values[:40]), bootstrap(values)
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_an_interval_is_that_of_the_normal_law_where_cases_are_many() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 10_000)
    found = bootstrap(values)
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 100, rel=0.08)


def test_cases_of_one_user_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).random(50), 20)
    alone, grouped = bootstrap(values), bootstrap(values, groups=np.repeat(np.arange(50), 20))
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_columns_share_their_draws_so_that_a_paired_difference_is_sharp() -> None:
    ours = np.random.default_rng(0).random(500)
    theirs = ours - 0.01
    first, second, gain = Bootstrap(np.arange(500)).intervals(np.stack([ours, theirs, ours - theirs], axis=1))
    assert first.low < second.high  # each alone could be anywhere in the other's interval
    assert (gain.low, gain.high) == pytest.approx((0.01, 0.01))


def test_draws_in_blocks_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = np.random.default_rng(0).random(600), np.repeat(np.arange(200), 3)
    whole = bootstrap(values, groups)
    monkeypatch.setattr(intervals, "_DRAWN_AT_ONCE", 2_000)  # ten draws at a time
    parts = bootstrap(values, groups)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=2e-3)
