"""What freshness is worth: the same model and the same cases, its user vectors made from older histories.

Who competes does not change: what the user had seen by the case is left out, however old the vector is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.training.evaluate import Events, Judge, LiveScorer, Scorer
from kindred.training.event_log import EventLog
from kindred.training.intervals import Bootstrap
from kindred.training.reports.measures import Measured, Measures
from kindred.training.reports.moments import first_from

MISSED = (0, 1, 2, 5, 10, 20, 50)
_HOUR_US = 3_600_000_000


class Missing(msgspec.Struct, frozen=True):
    """Vectors that miss each user's newest `events`. `left`: share of the cases with any history left."""

    events: int
    left: float
    measures: Measured
    loss: Measured  # every event minus this one, paired
    gain: Measured  # this one minus the best baseline on fresh histories, paired; empty without a baseline


class Schedule(msgspec.Struct, frozen=True):
    """Vectors that are all made anew at set times (UTC). `missed`: events a vector misses, on average."""

    name: str
    missed: float
    measures: Measured
    loss: Measured  # every event minus this one, paired


class Freshness(msgspec.Struct, frozen=True):
    """Quality by staleness, in events and by the clock."""

    cases: int
    users: int
    by_events: Sequence[Missing]
    by_clock: Sequence[Schedule]


def worth(
    judge: Judge,
    cases: Events,
    model: Scorer,
    measures: Measures,
    starts_at_us: int | None,
    baseline: Scorer | LiveScorer | None = None,
) -> Freshness:
    """`starts_at_us`: as of when vectors that are never updated were made; None: no such row.

    `baseline`: what stale vectors are compared with, on fresh histories.
    """
    log, users = judge.log, judge.log.users[cases]
    draws = Bootstrap(users)

    def columns(ends: Events) -> NDArray[np.float64]:
        return measures.columns(judge.rank(cases, model, ends=ends).ranks)

    fresh = columns(cases)
    theirs = None if baseline is None else measures.columns(judge.rank(cases, baseline).ranks)
    by_events, by_clock = [], []
    for missed in MISSED:
        ends = np.maximum(cases - missed, log.offsets[users])
        own = columns(ends) if missed else fresh
        left = float((ends > log.offsets[users]).mean())
        gain = {} if theirs is None else measures.means(own - theirs, draws)
        loss = measures.means(fresh - own, draws)
        by_events.append(Missing(missed, left, measures.means(own, draws), loss, gain))
    for name, ends in _schedules(log, cases, starts_at_us):
        own = fresh if ends is cases else columns(ends)
        by_clock.append(
            Schedule(
                name, float((cases - ends).mean()),
                measures.means(own, draws), measures.means(fresh - own, draws),
            )
        )  # fmt: skip
    return Freshness(len(cases), len(np.unique(users)), by_events, by_clock)


def _schedules(log: EventLog, cases: Events, starts_at_us: int | None) -> list[tuple[str, Events]]:
    times_us, users = log.times_us[cases], log.users[cases]

    def as_of(moments_us: NDArray[np.int64]) -> Events:
        return np.minimum(first_from(log, users, moments_us), cases)

    found = [
        ("nightly", as_of(times_us - times_us % (24 * _HOUR_US))),
        ("hourly", as_of(times_us - times_us % _HOUR_US)),
        ("every event", cases),
    ]
    if starts_at_us is not None:
        found.insert(0, ("never", as_of(np.full(len(cases), starts_at_us))))
    return found
