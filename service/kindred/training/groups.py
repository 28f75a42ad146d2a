"""Validation cases in groups: where a model is good, and where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.training.evaluate import hits
from kindred.training.event_log import EventLog, has_type

_Z = 1.96  # 95 %
_HOUR_US = 3_600_000_000
_LENGTHS = {"0": 0, "1-4": 1, "5-19": 5, "20-49": 20, "50-99": 50, "100+": 100}
_AGES = {
    "< 1 min": 0, "< 1 h": _HOUR_US // 60, "< 1 day": _HOUR_US, "< 1 week": 24 * _HOUR_US,
    "< 4 weeks": 168 * _HOUR_US, "older": 672 * _HOUR_US,
}  # fmt: skip
_FIFTHS = ("most popular", "2nd fifth", "3rd fifth", "4th fifth", "least popular")


@dataclass(frozen=True, slots=True)
class Bar:
    """A share with its 95 % interval, of so many cases."""

    label: str
    value: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True, slots=True)
class Judged:
    """n validation cases and how the model ranked each target (1 is best)."""

    ranks: NDArray[np.int64]  # (n,)
    history_lengths: NDArray[np.int64]  # (n,) interactions before the target
    ages_us: NDArray[np.int64]  # (n,) from the newest of them to the target; -1 where there is none
    fifths: NDArray[
        np.int64
    ]  # (n,) 0: among the items on which the first fifth of training events fell; 5: unseen


def judged(
    log: EventLog,
    declaration: Declaration,
    training: EventLog,
    cases: NDArray[np.int64],
    ranks: NDArray[np.int64],
) -> Judged:
    """The cases (events of `log`) with what groups them; popularity is that within `training`."""
    firsts = log.offsets[np.searchsorted(log.offsets, cases, side="right") - 1]
    lengths = cases - firsts
    ages_us = np.where(lengths > 0, log.times_us[cases] - log.times_us[np.maximum(cases - 1, 0)], -1)
    fifths = _fifths(training, declaration)[log.items[cases]]
    return Judged(ranks, lengths, ages_us, fifths)


def by_history_length(cases: Judged) -> list[Bar]:
    """Recall@10 after so many interactions."""
    places = np.searchsorted(list(_LENGTHS.values()), cases.history_lengths, side="right") - 1
    return list(_bars(list(_LENGTHS), places, cases.ranks))


def by_age(cases: Judged) -> list[Bar]:
    """Recall@10 by the time since the user's newest interaction."""
    known = cases.ages_us >= 0
    places = np.searchsorted(list(_AGES.values()), cases.ages_us[known], side="right") - 1
    return list(_bars(list(_AGES), places, cases.ranks[known]))


def by_popularity(cases: Judged) -> list[Bar]:
    """Recall@10 by the target's popularity: each fifth of the items drew as many training events."""
    return list(_bars([*_FIFTHS, "not in training"], cases.fifths, cases.ranks))


def _bars(labels: Sequence[str], places: NDArray[np.int64], ranks: NDArray[np.int64]) -> Iterator[Bar]:
    for place, label in enumerate(labels):
        found = hits(ranks[places == place], 10)
        if len(found):
            yield Bar(label, *_wilson(float(found.mean()), len(found)), len(found))


def _wilson(share: float, cases: int) -> tuple[float, float, float]:
    """A share and its 95 % interval (Wilson 1927), which stays within [0, 1] for few cases, too."""
    scale = 1 + _Z**2 / cases
    middle = (share + _Z**2 / (2 * cases)) / scale
    half = _Z / scale * np.sqrt(share * (1 - share) / cases + _Z**2 / (4 * cases**2))
    return share, min(share, middle - half), max(share, middle + half)


def _fifths(training: EventLog, declaration: Declaration) -> NDArray[np.int64]:
    """(items,) which fifth of the positive events an item belongs to; 5: it has none."""
    positive = has_type(training, declaration.positive_types)
    counts = np.bincount(training.items[positive], minlength=len(training.item_ids))
    order = np.argsort(-counts, kind="stable")
    share_before = (np.cumsum(counts[order]) - counts[order]) / max(counts.sum(), 1)
    fifths = np.empty(len(counts), np.int64)
    fifths[order] = np.minimum((share_before * 5).astype(np.int64), 4)
    fifths[counts == 0] = 5
    return fifths
