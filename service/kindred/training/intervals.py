"""How sure a mean is: 95 % intervals by bootstrap, over users."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

_DRAWN_AT_ONCE = 4_000_000  # numbers in memory, whatever the number of users and draws


class Interval(msgspec.Struct, frozen=True):
    """A mean, and the bounds that hold it with 95 % confidence."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Percentile bootstrap of means (Efron 1979).

    `groups` (n,) are users, say: whole groups are drawn, for one user's cases are not independent.
    The same draws serve every column, so that a column of differences of pairs compares two scorers.
    """

    def __init__(self, groups: NDArray[np.int64], *, draws: int = 1_000, seed: int = 0) -> None:
        self._numbers = np.unique(groups, return_inverse=True)[1]
        self._count = int(self._numbers.max(initial=-1)) + 1
        self._draws, self._seed = draws, seed

    def intervals(self, columns: NDArray[np.float64]) -> list[Interval]:
        """Mean and bounds of each column of (n, m); there must be a row."""
        sizes = np.bincount(self._numbers)
        sums = np.stack([np.bincount(self._numbers, column) for column in columns.T], axis=1)  # (groups, m)
        means = np.concatenate([(drawn @ sums) / (drawn @ sizes)[:, None] for drawn in self._drawn()])
        low, high = np.percentile(means, [2.5, 97.5], axis=0)
        return [Interval(*map(float, each)) for each in zip(columns.mean(axis=0), low, high, strict=True)]

    def _drawn(self) -> Iterator[NDArray[np.float64]]:
        """How often each draw holds each group: blocks of (some draws, groups)."""
        rng, block = np.random.default_rng(self._seed), max(1, _DRAWN_AT_ONCE // self._count)
        for start in range(0, self._draws, block):
            rows = min(block, self._draws - start)
            cells = rng.integers(0, self._count, (rows, self._count))
            cells += np.arange(rows)[:, None] * self._count
            yield np.bincount(cells.ravel(), minlength=rows * self._count).reshape(rows, -1).astype(float)


def bootstrap(values: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Interval:
    """Interval of one mean; pass differences of pairs to compare two scorers. `values` must not be empty."""
    return Bootstrap(np.arange(len(values)) if groups is None else groups).intervals(values[:, None])[0]
