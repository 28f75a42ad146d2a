"""The measures of a report, and their means with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kindred.training.evaluate import discounted, hits, reciprocal
from kindred.training.intervals import Bootstrap, Interval

Measured = Mapping[str, Interval]


class Measures:
    """HR@k and NDCG@k at each cutoff, and MRR. The first cutoff is the one that reports dwell on.

    With one target a case, HR@k is also recall@k.
    """

    def __init__(self, cutoffs: Sequence[int] = (10, 100)) -> None:
        self.k = cutoffs[0]
        self._of = {
            f"{name}@{k}": partial(function, k=k)
            for k in cutoffs
            for name, function in (("HR", hits), ("NDCG", discounted))
        } | {"MRR": reciprocal}

    @property
    def names(self) -> list[str]:
        return list(self._of)

    @property
    def hit_rate(self) -> str:
        """The measure that the plots show."""
        return f"HR@{self.k}"

    @property
    def main(self) -> str:
        """The measure that baselines are compared by."""
        return f"NDCG@{self.k}"

    def columns(self, ranked: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, measures) from (n,) ranks."""
        return np.stack([of(ranked) for of in self._of.values()], axis=1)

    def means(self, columns: NDArray[np.float64], over: Bootstrap) -> Measured:
        """Of `columns` or of differences of them, by name."""
        return dict(zip(self._of, over.intervals(columns), strict=True))
