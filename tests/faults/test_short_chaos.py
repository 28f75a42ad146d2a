"""A short run of `make chaos`: a dozen faults in half a minute, on real processes."""

from __future__ import annotations

from pathlib import Path

from faults.chaos import Plan, run

SEED = 7


def test_a_short_chaos_ends_as_the_records_determine(tmp_path: Path) -> None:
    plan = Plan(SEED, seconds=15, workers=2, rate=150, users=2_000, items=40, mean_gap_seconds=1.2)
    outcome = run(plan, tmp_path)
    assert outcome.is_equal, str(outcome)
    assert len(outcome.faults) >= 8
    assert outcome.events > 500
