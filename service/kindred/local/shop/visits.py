"""When users come: visits in the evening and at weekends, a few films each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Relative number of visits that start in each hour of the day.
_HOURS = np.array([3, 1, 1, 0, 0, 1, 2, 4, 4, 3, 3, 4, 6, 5, 4, 4, 6, 9, 14, 20, 24, 22, 14, 7], float)
_WEEKEND_WEIGHT = 1.6
_MEAN_CHOICES = 4.0
_MEDIAN_GAP_DAYS = 15.0 / (24 * 60)


@dataclass(frozen=True, slots=True)
class Choices:
    """When each choice of a film is made, grouped by user, in time order within each."""

    offsets: NDArray[np.int64]  # (users + 1,) user i's are rows offsets[i] to offsets[i + 1]
    days: NDArray[np.float64]  # (n,) days since the start
    starts_visit: NDArray[np.bool_]  # (n,) the first choice of a visit


def make_choices(
    activity: NDArray[np.float64],
    signed_up_days: NDArray[np.float64],
    total: int,
    days: int,
    rng: np.random.Generator,
) -> Choices:
    """About `total` choices within `days`; nobody comes before signing up, new users come at once."""
    present = np.clip(days - signed_up_days, 0.0, days) / days
    wanted = np.maximum(activity * present * total / (activity * present).sum(), 1.0)
    rows = [
        _one_user(max(1, round(count / _MEAN_CHOICES)), since, days, rng)
        for count, since in zip(wanted.tolist(), signed_up_days.tolist(), strict=True)
    ]
    lengths = [len(times) for times, _ in rows]
    return Choices(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        days=np.concatenate([times for times, _ in rows]),
        starts_visit=np.concatenate([starts for _, starts in rows]),
    )


def _one_user(
    visits: int, since: float, days: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    starts = _visit_starts(visits, since, days, rng)
    lengths = rng.geometric(1.0 / _MEAN_CHOICES, len(starts))
    gaps = rng.lognormal(np.log(_MEDIAN_GAP_DAYS), 0.7, lengths.sum())
    first = np.cumsum(lengths) - lengths
    gaps[first] = 0.0
    within = np.cumsum(gaps)
    times = np.repeat(starts, lengths) + within - np.repeat(within[first], lengths)
    is_start = np.zeros(len(times), bool)
    is_start[first] = True
    order = np.argsort(times, kind="stable")
    kept = order[times[order] < days]
    return times[kept], is_start[kept]


def _visit_starts(visits: int, since: float, days: int, rng: np.random.Generator) -> NDArray[np.float64]:
    first_day = max(0, int(since) + 1)
    soon = [since + rng.exponential(0.02)] if since > 0.0 else []
    if first_day >= days:
        return np.array(soon)
    day = np.arange(first_day, days)
    odds = np.where(day % 7 >= 5, _WEEKEND_WEIGHT, 1.0)
    chosen = rng.choice(day, visits, p=odds / odds.sum())
    hour = rng.choice(24, visits, p=_HOURS / _HOURS.sum()) + rng.random(visits)
    return np.sort(np.concatenate([soon, chosen + hour / 24.0]))
