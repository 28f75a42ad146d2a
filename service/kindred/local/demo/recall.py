"""Recall of the next item: vectors frozen at training against vectors kept fresh.

Both sides get the same events, the same candidates (every item in the index) and the same exclusions
(what the user had seen just before that event), and the same model. They differ only in the history
behind the user's vector: up to the cut, or up to the event. A user who was not there at the cut has,
frozen, the vector of the profile alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories
from kindred.training.evaluate import ModelScorer, from_time, hits, ranks
from kindred.training.event_log import EventLog
from kindred.training.intervals import Interval, bootstrap

CUTOFFS = (10, 100)


@dataclass(frozen=True, slots=True)
class Gain:
    """Recall at one cutoff, and the paired difference fresh - frozen with its 95 % interval."""

    frozen: float
    fresh: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group of users. `compared` of its `events` were ranked, evenly spaced in time.

    `unseen_items`: share of those whose item training had never met. Where nothing describes them
    either, they have one and the same vector, and no user's vector can tell them apart.
    """

    events: int
    compared: int
    users: int
    unseen_items: float
    gains: dict[int, Gain]  # by cutoff; empty where there are no events


class FrozenScorer:
    """Scores with each user's vector as of one moment, whatever happened since."""

    def __init__(self, embedder: Embedder, log: EventLog, cut_us: int) -> None:
        catalogue = log.catalogue()
        embedder.update_items(catalogue)
        self._items = embedder.embed_items(catalogue)
        self._users = embedder.embed(_histories_at(log, cut_us))
        self._row = {user_id: row for row, user_id in enumerate(log.user_ids)}

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        rows = [self._row[user_id] for user_id in histories.user_ids]
        scores: NDArray[np.float32] = self._users[rows] @ self._items.T
        return scores


def compare(embedder: Embedder, log: EventLog, cut_us: int, at_most: int) -> tuple[Comparison, Comparison]:
    """Users known at the cut, and new ones. `at_most` events are ranked in each group."""
    cases = from_time(log, embedder.declaration, cut_us)
    past = log.before(cut_us)
    is_known = np.diff(past.offsets) > 0
    known = is_known[log.users[cases]]
    scorers = FrozenScorer(embedder, log, cut_us), ModelScorer(embedder, log)
    by_time = [
        group[np.argsort(log.times_us[group], kind="stable")] for group in (cases[known], cases[~known])
    ]
    with_known, with_new = (
        _compare(embedder, log, group, scorers, np.unique(past.items), at_most) for group in by_time
    )
    return with_known, with_new


def _compare(
    embedder: Embedder,
    log: EventLog,
    cases: NDArray[np.int64],
    scorers: tuple[FrozenScorer, ModelScorer],
    trained_items: NDArray[np.int32],
    at_most: int,
) -> Comparison:
    chosen = np.sort(cases[_evenly(len(cases), at_most)])
    users = log.users[chosen]
    frozen, fresh = (ranks(log, embedder.declaration, chosen, scorer) for scorer in scorers)
    gains = {k: _gain(hits(frozen, k), hits(fresh, k), users) for k in CUTOFFS} if len(chosen) else {}
    unseen = ~np.isin(log.items[chosen], trained_items)
    share = float(unseen.mean()) if len(chosen) else 0.0
    return Comparison(len(cases), len(chosen), len(np.unique(users)), share, gains)


def _gain(frozen: NDArray[np.float64], fresh: NDArray[np.float64], users: NDArray[np.int64]) -> Gain:
    return Gain(float(frozen.mean()), float(fresh.mean()), bootstrap(fresh - frozen, users))


def _evenly(count: int, at_most: int) -> NDArray[np.int64]:
    """Indexes of at most so many of `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).astype(np.int64))


def _histories_at(log: EventLog, cut_us: int) -> Histories:
    """Every user's history as of the cut, in the log's order of users."""
    past = log.before(cut_us)
    return Histories(
        user_ids=past.user_ids,
        profiles=past.profiles,
        offsets=past.offsets,
        items=past.items,
        types=past.types,
        times_us=past.times_us,
        type_names=past.type_names,
        history_lengths=np.diff(past.offsets).tolist(),
    )
