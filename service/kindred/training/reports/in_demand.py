"""What demand is worth beside taste: the score plus a weight times the log of an item's live popularity.

That is what `recommend(..., popularity_weight=…)` asks Qdrant for. The weight is chosen on the earlier half
of the cases, and everything is judged on the later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.history.window import Histories
from kindred.training.baselines import LivePopularity
from kindred.training.evaluate import Events, Judge, Scorer
from kindred.training.intervals import Bootstrap
from kindred.training.reports.measures import Measured, Measures
from kindred.vectors.query import LEAST_POPULARITY

WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # with the last, taste only breaks ties


class Weighted(msgspec.Struct, frozen=True):
    """One weight; `gain`: this one minus weight 0, paired."""

    weight: float
    measures: Measured
    gain: Measured


class Demand(msgspec.Struct, frozen=True):
    """By weight, on the later half of the cases, `cases` in all.

    `over_demand`: the chosen weight minus demand alone, paired.
    """

    cases: int
    half_life_days: float
    by_weight: Sequence[Weighted]
    chosen: float
    alone: Measured
    over_demand: Measured

    @property
    def best(self) -> Weighted:
        """At the chosen weight."""
        return next(each for each in self.by_weight if each.weight == self.chosen)


class TasteAndDemand:
    """A model's scores with live popularity beside them."""

    def __init__(self, model: Scorer, live: LivePopularity, weight: float) -> None:
        self._model, self._live, self._weight = model, live, weight

    def scores_at(self, histories: Histories, times_us: NDArray[np.int64]) -> NDArray[np.float32]:
        demand = np.log(self._live.scores_at(histories, times_us) + np.float32(LEAST_POPULARITY))
        scores: NDArray[np.float32] = self._model.scores(histories) + np.float32(self._weight) * demand
        return scores


def worth(
    judge: Judge,
    cases: Events,
    model: Scorer,
    live: LivePopularity,
    measures: Measures,
    half_life_days: float,
) -> Demand | None:
    """None for a single case, which has no halves."""
    if len(cases) == 1:
        return None
    in_time = cases[np.argsort(judge.log.times_us[cases], kind="stable")]
    half = len(in_time) // 2

    def columns(scorer: TasteAndDemand | LivePopularity) -> NDArray[np.float64]:
        return measures.columns(judge.rank(in_time, scorer).ranks)

    ranked = {weight: columns(TasteAndDemand(model, live, weight)) for weight in WEIGHTS}
    main = measures.names.index(measures.main)
    chosen = max(WEIGHTS, key=lambda weight: ranked[weight][:half, main].mean())
    alone, later = columns(live)[half:], {weight: found[half:] for weight, found in ranked.items()}
    means = partial(measures.means, over=Bootstrap(judge.log.users[in_time[half:]]))
    return Demand(
        cases=len(alone),
        half_life_days=half_life_days,
        by_weight=[Weighted(each, means(own), means(own - later[0.0])) for each, own in later.items()],
        chosen=chosen,
        alone=means(alone),
        over_demand=means(later[chosen] - alone),
    )
