"""A model against its baselines, on next items that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.embedder import Embedder
from kindred.errors import Misconfigured
from kindred.training.baselines import ItemKnn, Popularity
from kindred.training.evaluate import (
    Interval,
    ModelScorer,
    Scorer,
    bootstrap,
    discounted,
    from_time,
    hits,
    ranks,
    reciprocal,
)
from kindred.training.event_log import EventLog

MEASURES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "HR@10": lambda ranked: hits(ranked, 10),
    "NDCG@10": lambda ranked: discounted(ranked, 10),
    "recall@100": lambda ranked: hits(ranked, 100),
    "MRR": reciprocal,
}
MODEL, ITEM_KNN = "this model", "item-kNN"
_MOST_KNN_CELLS = 500_000_000  # users x items that item-kNN holds at once, 4 bytes each


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`by_scorer`: each measure's mean and 95 % interval (bootstrap over users), the model first.

    `gain`: the model minus the baseline that is best by NDCG@10, paired.
    """

    held_out: int
    cases: int
    users: int
    by_scorer: Mapping[str, Mapping[str, Interval]]
    best_baseline: str
    gain: Mapping[str, Interval]


def evaluate(
    embedder: Embedder, log: EventLog, trained_until_us: int, half_life_us: float, at_most: int
) -> Evaluation:
    """Rank the next items after the training's end, `at_most` so many, evenly spaced in time.

    Everyone may look at the history up to each event; the baselines' counts end where training ended.
    Raises Misconfigured where the log has nothing later.
    """
    held_out = from_time(log, embedder.declaration, trained_until_us + 1)
    if not len(held_out):
        raise Misconfigured(
            "No event of this log is later than what the model was trained on, so nothing is held out. "
            "Evaluate on newer events, or train with --holdout 0.1."
        )
    cases = _evenly(held_out[np.argsort(log.times_us[held_out], kind="stable")], at_most)
    users = log.users[cases]
    ranked = {
        name: ranks(log, embedder.declaration, cases, scorer)
        for name, scorer in _scorers(embedder, log, trained_until_us, half_life_us)
    }
    best = max(
        (name for name in ranked if name != MODEL), key=lambda name: discounted(ranked[name], 10).mean()
    )
    return Evaluation(
        held_out=len(held_out),
        cases=len(cases),
        users=len(np.unique(users)),
        by_scorer={
            name: {measure: bootstrap(of(own), users) for measure, of in MEASURES.items()}
            for name, own in ranked.items()
        },
        best_baseline=best,
        gain={
            measure: bootstrap(of(ranked[MODEL]) - of(ranked[best]), users)
            for measure, of in MEASURES.items()
        },
    )


def _scorers(
    embedder: Embedder, log: EventLog, trained_until_us: int, half_life_us: float
) -> Iterator[tuple[str, Scorer]]:
    declaration, known = embedder.declaration, log.before(trained_until_us + 1)
    yield MODEL, ModelScorer(embedder, log)
    if len(known.user_ids) * len(known.item_ids) <= _MOST_KNN_CELLS:
        yield ITEM_KNN, ItemKnn(known, declaration)
    yield "recent popularity", Popularity(known, declaration, half_life_us)
    yield "popularity", Popularity(known, declaration)


def _evenly(cases: NDArray[np.int64], at_most: int) -> NDArray[np.int64]:
    chosen = np.unique(np.linspace(0, len(cases) - 1, min(len(cases), at_most)).astype(np.int64))
    return np.sort(cases[chosen])
