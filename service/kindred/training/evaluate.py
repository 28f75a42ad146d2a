"""How good recommendations are: the rank of what a user really took next.

The protocol is the strict one: the whole catalogue competes, but for what the user has seen, and
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
from kindred.training import ranking
from kindred.training.event_log import EventLog, has_type
from kindred.training.ranking import Ranking
from kindred.training.targets import first_takes, target_events

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
class Rules:
    """Who competes, of what was not removed. `items` (m,): only these, and the target; None: all.

    `seen`: seen items as well.
    """

    items: NDArray[np.bool_] | None = None
    seen: bool = False


class Judge:
    """Ranks cases of one log, in chunks of bounded memory; `on_cases` hears the size of each chunk.

    `reads`: no scorer reads more of a history than its newest so many positive events, or interactions;
    what is older may be left out, and is. None: nothing is.
    """

    def __init__(
        self,
        log: EventLog,
        declaration: Declaration,
        on_cases: Callable[[int], None] = lambda count: None,
        *,
        reads: int | None = None,
    ) -> None:
        self.log, self.declaration = log, declaration
        self._seen = has_type(log, declaration.seen_types)
        self._positive = has_type(log, declaration.positive_types)
        self._on_cases, self._reads = on_cases, reads
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
        there = ~self.log.removed if rules.items is None else rules.items & ~self.log.removed
        competing = np.tile(there, (len(chunk), 1))
        if not rules.seen:
            self._leave_out_seen(chunk, competing)
        competing[np.arange(len(chunk)), targets] = True
        self._on_cases(len(chunk))
        return Ranking(ranking.ranks(scores, competing, targets), ranking.best(scores, competing, best))

    def _scores(self, scorer: Scorer | LiveScorer, cases: Events, ends: Events) -> NDArray[np.float32]:
        histories = self.log.histories(ends, self._limit(ends))
        if isinstance(scorer, LiveScorer):
            return scorer.scores_at(histories, self.log.times_us[cases])
        return scorer.scores(histories)

    def _limit(self, ends: Events) -> int | None:
        """Interactions that hold what is read of each of these histories."""
        if self._reads is None:
            return None
        bounds = zip(self._starts(ends).tolist(), ends.tolist(), strict=True)
        return max(self._length(start, end, self._reads) for start, end in bounds)

    def _length(self, start: int, end: int, wanted: int) -> int:
        """At least `wanted` interactions before `end`, and so many that as many of them are positive."""
        length = wanted
        while end - length > start and np.count_nonzero(self._positive[end - length : end]) < wanted:
            length *= 2
        return length

    def _leave_out_seen(self, cases: Events, competing: NDArray[np.bool_]) -> None:
        """What each case's user had seen before it. One history at a time: some are long."""
        for row, (start, end) in enumerate(zip(self._starts(cases).tolist(), cases.tolist(), strict=True)):
            competing[row, self.log.items[start:end][self._seen[start:end]]] = False

    def _starts(self, events: Events) -> Events:
        """The first event of each event's user."""
        return self.log.offsets[np.searchsorted(self.log.offsets, events, side="right") - 1]


def ranks(log: EventLog, declaration: Declaration, cases: Events, scorer: Scorer) -> NDArray[np.int64]:
    """Rank of each case's item (1 is best) among the items that its user had not seen."""
    return Judge(log, declaration).rank(cases, scorer).ranks


def leave_one_out(log: EventLog, declaration: Declaration) -> Events:
    """The newest target of each user: the customary split, which lets models see the future.

    None of a user whose newest item is gone: the one before it was trained on.
    """
    newest = newest_takes(log, declaration)
    return newest[~log.removed[log.items[newest]]]


def newest_takes(log: EventLog, declaration: Declaration) -> Events:
    """The event that each user is split at, whether or not its item is there to be asked about."""
    events = np.flatnonzero(first_takes(log, declaration))
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
