"""Scores -> ranks, strictly: an item with the same score as the target counts as better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of n cases: each target's rank (1 is best), and the k best items in no order (-1: fewer compete)."""

    ranks: NDArray[np.int64]  # (n,)
    best: NDArray[np.int64]  # (n, k)


def ranks(
    scores: NDArray[np.float32], competing: NDArray[np.bool_], targets: NDArray[np.int32]
) -> NDArray[np.int64]:
    """(n,) rank of each row's target among what competes, 1 the best; a tie counts against it."""
    own = scores[np.arange(len(targets)), targets]
    # Not below, rather than at least: a NaN must never look good.
    counts: NDArray[np.int64] = (competing & ~(scores < own[:, None])).sum(axis=1)
    return counts


def best(scores: NDArray[np.float32], competing: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """(n, k) the k best of what competes in each row, in no order; -1 where fewer compete."""
    if not k:
        return np.zeros((len(scores), 0), np.int64)
    lowest_first = np.where(competing, scores, -np.inf)
    places = np.argpartition(lowest_first, -k, axis=1)[:, -k:] if k < scores.shape[1] else _all(scores)
    found = np.full((len(scores), k), -1)
    found[:, : places.shape[1]] = np.where(np.take_along_axis(competing, places, 1), places, -1)
    return found


def _all(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
