"""What a model must beat, on the same fresh histories: popularity in its kinds, and item-kNN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.event_log import SLICE_EVENTS, EventLog, has_type, ranges

_MOST_VALUES = 200  # of an attribute that get a popularity of their own
_BEFORE_ALL_US = int(np.iinfo(np.int64).min)
_CELLS_AT_ONCE = 20_000_000  # of the similarity matrix while its neighbours are chosen


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a history counts: its newest positives, each older one `decay` times less."""

    newest: int = 10
    decay: float = 0.8


NEWEST_TEN = Reading()


class Popularity:
    """The same for everyone: how often an item was taken, older events fading by half each half-life."""

    def __init__(self, log: EventLog, declaration: Declaration, half_life_us: float = np.inf) -> None:
        positive = has_type(log, declaration.positive_types)
        times_us = log.times_us[positive]
        age_us = times_us.max(initial=0) - times_us
        weights = np.exp2(-age_us / half_life_us)
        self.counts = np.bincount(log.items[positive], weights, minlength=len(log.item_ids))

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        return np.tile(self.counts.astype(np.float32), (len(histories), 1))


class PopularityWithin:
    """Popularity among users who share one attribute's value; overall popularity breaks ties.

    A value that nobody else has, or none, gets overall popularity; so do all but the commonest values.
    """

    def __init__(self, log: EventLog, declaration: Declaration, attribute: str) -> None:
        self._attribute = attribute
        counts = Counter(map(self._value, log.profiles))
        commonest = [value for value, _ in counts.most_common(_MOST_VALUES) if value is not None]
        self._rows = {value: row for row, value in enumerate(commonest, start=1)}  # 0: overall
        positive = has_type(log, declaration.positive_types)
        rows = np.array([self._row(profile) for profile in log.profiles], np.int64)
        shape = (1 + len(commonest), len(log.item_ids))
        cells = rows[log.users[positive]] * shape[1] + log.items[positive]
        taken = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        overall = taken.sum(axis=0)
        taken[0] = 0
        self._scores = (taken + overall / (overall.max(initial=0) + 1)).astype(np.float32)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        chosen: NDArray[np.float32] = self._scores[[self._row(profile) for profile in histories.profiles]]
        return chosen

    def _value(self, profile: Mapping[str, Any]) -> str | None:
        value = profile.get(self._attribute)
        return None if value is None else str(value)

    def _row(self, profile: Mapping[str, Any]) -> int:
        return self._rows.get(self._value(profile) or "", 0)


@dataclass(frozen=True, slots=True)
class Taken:
    """Every positive event of a log in order of time; several kinds of live popularity share one."""

    items: NDArray[np.int32]  # (n,)
    times_us: NDArray[np.int64]  # (n,)
    item_count: int

    @classmethod
    def of(cls, log: EventLog, declaration: Declaration) -> Taken:
        positive = np.flatnonzero(has_type(log, declaration.positive_types))
        in_time = positive[np.argsort(log.times_us[positive], kind="stable")]
        return cls(log.items[in_time], log.times_us[in_time], len(log.item_ids))


class LivePopularity:
    """Popularity kept up to date, as an item's payload has it: decayed counts up to each moment.

    The others' counts end where training ended; this one knows what everybody did until a second ago.
    """

    def __init__(self, everything: Taken, half_life_us: float) -> None:
        self._everything, self._half_life_us = everything, half_life_us
        self._restart()

    def scores_at(self, histories: Histories, times_us: NDArray[np.int64]) -> NDArray[np.float32]:
        """As of each moment. Counts go on from the last one asked about, unless an earlier is asked for."""
        scores = np.empty((len(times_us), self._everything.item_count), np.float32)
        if len(times_us) and times_us.min() < self._at_us:
            self._restart()
        for row in np.argsort(times_us, kind="stable"):
            self._advance(int(times_us[row]))
            scores[row] = self._counts
        return scores

    def _restart(self) -> None:
        self._counts, self._done, self._at_us = np.zeros(self._everything.item_count), 0, _BEFORE_ALL_US

    def _advance(self, now_us: int) -> None:
        self._counts *= np.exp2((self._at_us - now_us) / self._half_life_us)
        until = int(np.searchsorted(self._everything.times_us, now_us))
        for start in range(self._done, until, SLICE_EVENTS):
            part = slice(start, min(start + SLICE_EVENTS, until))
            weights = np.exp2((self._everything.times_us[part] - now_us) / self._half_life_us)
            self._counts += np.bincount(self._everything.items[part], weights, len(self._counts))
        self._done, self._at_us = until, now_us


class ItemKnn:
    """Cosine similarity of items by the users who took both (Sarwar 2001), to the newest few.

    Each item keeps its `neighbours` nearest, so memory grows with the catalogue, not with its square.
    """

    def __init__(
        self,
        log: EventLog,
        declaration: Declaration,
        reading: Reading = NEWEST_TEN,
        neighbours: int = 500,
    ) -> None:
        self.reading = reading
        self._similarity = _nearest(taken(log, declaration), neighbours)
        self._popularity = Popularity(log, declaration)
        self._positive_types = declaration.positive_types

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, items): sums of similarities to what the history's `reading` holds; the rest by popularity."""
        weights = newest_positives(histories, self._positive_types, self._similarity.shape[0], self.reading)
        return popular_last((weights @ self._similarity).toarray(), self._popularity)


def popular_last(scores: NDArray[np.float32], popularity: Popularity) -> NDArray[np.float32]:
    """The same, but items without a score (0) come after all others and in order of their popularity.

    Left level they would lose to every item: whoever has no history, or one that says nothing of the
    target, would then count as a failure of the baseline that any deployment fills up so.
    """
    lowest = scores.min(axis=1, keepdims=True, initial=0)
    fill = (-1 / (1 + popularity.counts)).astype(np.float32)  # -1 up to 0, and distinct up to ten million
    filled: NDArray[np.float32] = np.where(scores == 0, lowest + fill, scores)
    return filled


def taken(log: EventLog, declaration: Declaration) -> sparse.csr_array:
    """(users, items): 1 for each pair that a positive event joins."""
    positive = has_type(log, declaration.positive_types)
    pairs = np.unique(log.users[positive] * len(log.item_ids) + log.items[positive])
    users, items = np.divmod(pairs, len(log.item_ids))
    shape = (len(log.user_ids), len(log.item_ids))
    return sparse.csr_array((np.ones(len(pairs), np.float32), (users, items)), shape)


def newest_positives(
    histories: Histories, positive_types: frozenset[str], item_count: int, reading: Reading
) -> sparse.csr_array:
    """(n, items): weights of each history's newest positives, 1 for the newest of all."""
    wanted = np.array([name in positive_types for name in histories.type_names], bool)
    positive = wanted[histories.types] if len(histories.types) else np.zeros(0, bool)
    before = np.concatenate([[0], np.cumsum(positive)])
    items, ends = histories.items[positive], before[histories.offsets[1:]]
    starts = np.maximum(before[histories.offsets[:-1]], ends - reading.newest)
    index, offsets = ranges(starts, ends)
    rows = np.repeat(np.arange(len(ends)), np.diff(offsets))
    weights = (reading.decay ** (ends[rows] - 1 - index)).astype(np.float32)
    return sparse.csr_array((weights, (rows, items[index])), (len(ends), item_count))


def _nearest(pairs: sparse.csr_array, neighbours: int) -> sparse.csr_array:
    """(items, items): each row's `neighbours` largest cosines, itself left out."""
    norms = np.maximum(np.sqrt(pairs.sum(axis=0)), 1.0)
    unit = sparse.csc_array(pairs / norms)
    rows = max(1, _CELLS_AT_ONCE // max(pairs.shape[1], 1))
    blocks = [
        _largest(unit[:, start : start + rows].T @ unit, start, neighbours)
        for start in range(0, pairs.shape[1], rows)
    ]
    return sparse.vstack(blocks, format="csr")


def _largest(cosines: sparse.csr_array, first_item: int, neighbours: int) -> sparse.csr_array:
    dense = cosines.toarray().astype(np.float32)
    dense[np.arange(len(dense)), first_item + np.arange(len(dense))] = 0.0
    if neighbours < dense.shape[1]:
        least = -np.partition(-dense, neighbours - 1, axis=1)[:, neighbours - 1 : neighbours]
        dense[dense < least] = 0.0
    return sparse.csr_array(dense)
