"""How good recommendations are: the rank of what a user really took next.

The protocol is the strict one: the whole catalogue competes, items the user has seen are removed, and
an item with the same score as the target counts as better (a constant scorer must not look good).
A case is one event of the log; its user's history is everything before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories
from kindred.training.event_log import EventLog, has_type, ranges, target_events

_CHUNK_CASES = 512


class Scorer(Protocol):
    """Anything that ranks the catalogue for a history."""

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, items): higher is better."""


class ModelScorer:
    """A model, through the very code that serves it."""

    def __init__(self, embedder: Embedder, log: EventLog) -> None:
        catalogue = log.catalogue()
        embedder.update_items(catalogue)
        self._embedder = embedder
        self._items = embedder.embed_items(catalogue)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._embedder.embed(histories) @ self._items.T
        return scores


def leave_one_out(log: EventLog, declaration: Declaration) -> NDArray[np.int64]:
    """The newest target of each user: the customary split, which lets models see the future."""
    events = np.flatnonzero(target_events(log, declaration))
    users = log.users[events]
    newest: NDArray[np.int64] = events[np.diff(users, append=-1) != 0]
    return newest


def from_time(log: EventLog, declaration: Declaration, time_us: int) -> NDArray[np.int64]:
    """Every target at or after a moment: the honest split, for a model trained on what was before."""
    late: NDArray[np.int64] = np.flatnonzero(target_events(log, declaration) & (log.times_us >= time_us))
    return late


def ranks(
    log: EventLog, declaration: Declaration, cases: NDArray[np.int64], scorer: Scorer
) -> NDArray[np.int64]:
    """Rank of each case's item (1 is best) among the items that its user had not seen."""
    seen = has_type(log, declaration.seen_types)
    chunks = [cases[start : start + _CHUNK_CASES] for start in range(0, len(cases), _CHUNK_CASES)]
    ranked = [_rank_chunk(log, seen, chunk, scorer.scores(log.histories(chunk))) for chunk in chunks]
    return np.concatenate(ranked) if ranked else np.zeros(0, np.int64)


def _rank_chunk(
    log: EventLog, seen: NDArray[np.bool_], cases: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.int64]:
    rows = np.arange(len(cases))
    own = scores[rows, log.items[cases]]
    at_least = scores >= own[:, None]
    users = np.searchsorted(log.offsets, cases, side="right") - 1
    history, offsets = ranges(log.offsets[users], cases)
    history_rows = np.repeat(rows, np.diff(offsets))[seen[history]]
    at_least[history_rows, log.items[history[seen[history]]]] = False
    at_least[rows, log.items[cases]] = True  # itself: the best rank is 1
    ranked: NDArray[np.int64] = at_least.sum(axis=1)
    return ranked


def metrics(ranked: NDArray[np.int64], cutoffs: tuple[int, ...] = (10, 100)) -> dict[str, float]:
    """Means over all cases. With one target a case, recall@k is the hit rate, HR@k."""
    values = {"mrr": reciprocal(ranked)}
    for k in cutoffs:
        values[f"hr@{k}"] = hits(ranked, k)
        values[f"ndcg@{k}"] = discounted(ranked, k)
    return {name: float(value.mean()) if len(value) else 0.0 for name, value in values.items()}


def hits(ranked: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """(n,) 1 where the target is among the first k."""
    return (ranked <= k).astype(np.float64)


def discounted(ranked: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """(n,) gain 1 / log2(1 + rank) within the first k: NDCG, for the ideal gain is 1."""
    return np.where(ranked <= k, 1.0 / np.log2(1.0 + ranked), 0.0)


def reciprocal(ranked: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) 1 / rank."""
    return 1.0 / ranked


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the bounds that hold it with 95 % confidence."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: NDArray[np.float64], groups: NDArray[np.int64] | None = None, seed: int = 0, draws: int = 1_000
) -> Interval:
    """Percentile bootstrap of a mean (Efron 1979); pass differences of pairs to compare two scorers.

    With `groups` (n,), users, say, whole groups are drawn: one user's cases are not independent.
    """
    numbers = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes, sums = np.bincount(numbers), np.bincount(numbers, weights=values)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(sizes), (draws, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))
