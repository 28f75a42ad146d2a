"""What the soak judges memory by; and, slowly, a soak of seconds. The long one is `make soak`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faults.sampling import Table
from faults.soak import run
from faults.soak_report import report
from faults.soak_result import InUse, Plan, Result
from faults.trend import trend

SECONDS = np.arange(0, 1_800, 5.0)
NOISE_MB = np.random.default_rng(1).normal(0, 3, len(SECONDS))


def test_noise_around_a_level_is_no_leak() -> None:
    found = trend(SECONDS, 700 + NOISE_MB)
    assert found.is_within_noise
    assert found.noise == pytest.approx(3, rel=0.2)
    assert found.hours == pytest.approx(0.5, rel=0.01)


def test_what_rises_by_more_than_its_noise_is_one() -> None:
    found = trend(SECONDS, 700 + NOISE_MB + 40 * SECONDS / 3_600)
    assert not found.is_within_noise
    assert found.per_hour == pytest.approx(40, abs=3 * found.error_per_hour)


def test_memory_that_falls_is_none_either() -> None:
    assert trend(SECONDS, 700 + NOISE_MB - 40 * SECONDS / 3_600).is_within_noise


def test_one_small_step_is_no_leak_and_a_large_one_is() -> None:
    later = SECONDS > 900
    assert trend(SECONDS, 700 + 2.0 * later).is_within_noise
    assert not trend(SECONDS, 700 + 20.0 * later).is_within_noise


def test_what_is_in_use_at_rest_may_hardly_grow() -> None:
    before = InUse(1_000, blocks=1e6, native_mb=300.0)
    assert not InUse(2_000, 1.009e6, 304.0).grew(before)
    assert InUse(2_000, 1.011e6, 300.0).grew(before)
    assert InUse(2_000, 1e6, 305.5).grew(before)


def test_a_verdict_names_all_that_is_not_well() -> None:
    plan = Plan(1, 1.0, 1, 1, 1, 1.0, 0.7, 0.0, 1.0)
    rest = InUse(1_000, 1e6, 300.0)
    well = Result(plan, {}, before=rest, after=rest, tables=[Table("item", 30.0, 4.0)])
    assert report(well)[-1].endswith("equal, and nothing grew")
    ill = Result(
        plan, {}, before=rest, after=InUse(2_000, 2e6, 300.0), tables=[Table("item", 33.0, 4.0)],
        memory_at_burst_mb=(700.0, 800.0), lag_left=3, differing=["user u"],
    )  # fmt: skip
    assert report(ill)[-1].startswith("NOT WELL: user u | item is bloated | lag 3 is left | more is in use")
    assert "from 700 to 800 MB" in report(ill)[-1]
    assert Result(plan, {}).faulty == ["the worker does not tell what it has in use"]


@pytest.mark.slow
def test_a_soak_of_seconds_ends_equal(tmp_path: Path) -> None:
    plan = Plan(
        seed=3, seconds=15.0, users=1_000, items=100, workers=2, rate=300.0, share=0.7, burst_seconds=2.0,
        mean_gap_seconds=6.0,
    )  # fmt: skip
    said: list[str] = []
    result = run(plan, tmp_path, said.append)
    assert not result.differing, said
    assert result.lag_left == 0
    assert {table.name for table in result.tables} >= {"app_user", "item", "pending_sync"}
    assert sum(table.rows_mb for table in result.tables) > 0.1
    assert result.events > 3 * plan.users + plan.share * plan.rate * plan.seconds
