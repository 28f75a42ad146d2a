"""What a model must beat, on the same fresh histories: popularity and item-kNN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.event_log import EventLog, has_type, ranges


class Popularity:
    """The same for everyone: how often an item was taken, older events fading by half each half-life."""

    def __init__(self, log: EventLog, declaration: Declaration, half_life_us: float = np.inf) -> None:
        positive = has_type(log, declaration.positive_types)
        times_us = log.times_us[positive]
        age_us = times_us.max(initial=0) - times_us
        weights = np.exp2(-age_us / half_life_us)
        counts = np.bincount(log.items[positive], weights, minlength=len(log.item_ids))
        self._scores = counts.astype(np.float32)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        return np.tile(self._scores, (len(histories), 1))


class ItemKnn:
    """Cosine similarity of items by the users who took both (Sarwar 2001), to the newest few.

    Dense: for catalogues up to some 20,000 items.
    """

    def __init__(self, log: EventLog, declaration: Declaration, newest: int = 10, decay: float = 0.8) -> None:
        positive = has_type(log, declaration.positive_types)
        taken = np.zeros((len(log.user_ids), len(log.item_ids)), np.float32)
        taken[log.users[positive], log.items[positive]] = 1.0
        norms = np.maximum(np.linalg.norm(taken, axis=0), 1.0)
        self._similarity = ((taken.T @ taken) / np.outer(norms, norms)).astype(np.float32)
        np.fill_diagonal(self._similarity, 0.0)
        self._newest, self._decay = newest, decay
        self._positive_types = declaration.positive_types

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, items): similarities to the newest positives, each older one counting `decay` times less."""
        wanted = np.array([name in self._positive_types for name in histories.type_names], bool)
        positive = wanted[histories.types] if len(histories.types) else np.zeros(0, bool)
        before = np.concatenate([[0], np.cumsum(positive)])
        items, ends = histories.items[positive], before[histories.offsets[1:]]
        starts = np.maximum(before[histories.offsets[:-1]], ends - self._newest)
        index, offsets = ranges(starts, ends)
        rows = np.repeat(np.arange(len(ends)), np.diff(offsets))
        weights = np.zeros((len(ends), len(self._similarity)), np.float32)
        np.add.at(weights, (rows, items[index]), self._decay ** (ends[rows] - 1 - index))
        scores: NDArray[np.float32] = weights @ self._similarity
        return scores
