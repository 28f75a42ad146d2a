"""How good recommendations are: the rank of what a user really took next.

The protocol is the strict one: the whole catalogue competes, items the user has seen are removed, and
an item with the same score as the target counts as better (a constant scorer must not look good).
A case is one event of the log; its user's history is everything before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories
from kindred.training.event_log import EventLog, has_type, ranges, target_events

_CHUNK_CASES = 512
_CHUNK_SCORES = 10_000_000  # cases x items that are scored at once, 4 bytes each

Events = NDArray[np.int64]  # (n,) positions in the log's columns


class Scorer(Protocol):
    """Anything that ranks the catalogue for a history."""

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, items): higher is better."""


@runtime_checkable
class LiveScorer(Protocol):
    """One that also knows what everybody else did until a moment."""

    def scores_at(self, histories: Histories, times_us: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, items) as of each history's own time (n,)."""


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


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of n cases: each target's rank (1 is best), and the k best items in no order (-1: fewer compete)."""

    ranks: NDArray[np.int64]  # (n,)
    best: NDArray[np.int64]  # (n, k)


@dataclass(frozen=True, slots=True)
class Rules:
    """Who competes. `items` (m,): only these, and the target; None: all. `seen`: seen items as well."""

    items: NDArray[np.bool_] | None = None
    seen: bool = False


class Judge:
    """Ranks cases of one log, in chunks of bounded memory; `on_cases` hears the size of each chunk."""

    def __init__(
        self, log: EventLog, declaration: Declaration, on_cases: Callable[[int], None] = lambda count: None
    ) -> None:
        self.log, self.declaration = log, declaration
        self._seen = has_type(log, declaration.seen_types)
        self._on_cases = on_cases
        self._chunk = int(np.clip(_CHUNK_SCORES // max(len(log.item_ids), 1), 1, _CHUNK_CASES))

    def rank(
        self,
        cases: Events,
        scorer: Scorer | LiveScorer,
        *,
        ends: Events | None = None,
        rules: Rules = Rules(),
        best: int = 0,
    ) -> Ranking:
        """Rank each case's item, and find the `best` so many.

        `ends` (n,): the scorer sees each history only before this event of the same user, instead of
        before the case; what was seen is left out all the same.
        """
        read = cases if ends is None else ends
        found = Ranking(np.empty(len(cases), np.int64), np.empty((len(cases), best), np.int64))
        order = self._order(cases, scorer)
        for start in range(0, len(cases), self._chunk):
            at = order[start : start + self._chunk]
            part = self._ranked(cases[at], scorer, read[at], rules, best)
            found.ranks[at], found.best[at] = part.ranks, part.best
        return found

    def _order(self, cases: Events, scorer: Scorer | LiveScorer) -> NDArray[np.int64]:
        if isinstance(scorer, LiveScorer):  # it counts on from one moment to the next
            return np.argsort(self.log.times_us[cases], kind="stable")
        return np.arange(len(cases))

    def _ranked(
        self, chunk: Events, scorer: Scorer | LiveScorer, ends: Events, rules: Rules, best: int
    ) -> Ranking:
        targets = self.log.items[chunk]
        scores = self._scores(scorer, chunk, ends)
        competing = (
            np.ones(scores.shape, bool) if rules.items is None else np.tile(rules.items, (len(chunk), 1))
        )
        if not rules.seen:
            competing[self._seen_by(chunk)] = False
        competing[np.arange(len(chunk)), targets] = True
        self._on_cases(len(chunk))
        return Ranking(_ranks(scores, competing, targets), _best(scores, competing, best))

    def _scores(self, scorer: Scorer | LiveScorer, cases: Events, ends: Events) -> NDArray[np.float32]:
        histories = self.log.histories(ends)
        if isinstance(scorer, LiveScorer):
            return scorer.scores_at(histories, self.log.times_us[cases])
        return scorer.scores(histories)

    def _seen_by(self, cases: Events) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows and items: what each case's user had seen before it."""
        users = np.searchsorted(self.log.offsets, cases, side="right") - 1
        history, offsets = ranges(self.log.offsets[users], cases)
        rows = np.repeat(np.arange(len(cases)), np.diff(offsets))
        marked = self._seen[history]
        return rows[marked], self.log.items[history[marked]]


def ranks(log: EventLog, declaration: Declaration, cases: Events, scorer: Scorer) -> NDArray[np.int64]:
    """Rank of each case's item (1 is best) among the items that its user had not seen."""
    return Judge(log, declaration).rank(cases, scorer).ranks


def _ranks(
    scores: NDArray[np.float32], competing: NDArray[np.bool_], targets: NDArray[np.int32]
) -> NDArray[np.int64]:
    own = scores[np.arange(len(targets)), targets]
    # Not below, rather than at least: a NaN must never look good.
    counts: NDArray[np.int64] = (competing & ~(scores < own[:, None])).sum(axis=1)
    return counts


def _best(scores: NDArray[np.float32], competing: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    if not k:
        return np.zeros((len(scores), 0), np.int64)
    lowest_first = np.where(competing, scores, -np.inf)
    best = np.argpartition(lowest_first, -k, axis=1)[:, -k:] if k < scores.shape[1] else _all(scores)
    found = np.full((len(scores), k), -1)
    found[:, : best.shape[1]] = np.where(np.take_along_axis(competing, best, 1), best, -1)
    return found


def _all(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))


def leave_one_out(log: EventLog, declaration: Declaration) -> Events:
    """The newest target of each user: the customary split, which lets models see the future."""
    events = np.flatnonzero(target_events(log, declaration))
    newest: Events = events[np.diff(log.users[events], append=-1) != 0]
    return newest


def from_time(log: EventLog, declaration: Declaration, time_us: int) -> Events:
    """Every target at or after a moment: the honest split, for a model trained on what was before."""
    late: Events = np.flatnonzero(target_events(log, declaration) & (log.times_us >= time_us))
    return late


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
