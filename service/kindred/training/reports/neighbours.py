"""Whether similar users stay similar: how much two neighbours' future items overlap.

Neighbours are found by the vectors as of one moment, as `kindred similar` finds them, by the items that
both had taken by then (Jaccard), and at random. Then their items from that moment on are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.baselines import taken
from kindred.training.event_log import EventLog
from kindred.training.intervals import Interval, bootstrap
from kindred.training.reports.moments import first_from

LEAST_USERS = 20
_LEAST_EVENTS = 3  # before the moment and after it: fewer say nothing of anybody's taste
TOO_FEW_USERS = (
    f"Similar users were not compared: fewer than {LEAST_USERS} took {_LEAST_EVENTS} items before the events "
    f"that are asked about, and {_LEAST_EVENTS} others since."
)
NO_MOMENT = (
    "Similar users were not compared: leave-one-out has no moment that parts everybody's past from their "
    "future. Use --split temporal."
)
_MOST_USERS, _MOST_ASKED = 20_000, 2_000
_CHUNK_USERS = 200
Embed = Callable[[Histories], NDArray[np.float32]]


class Overlap(msgspec.Struct, frozen=True):
    """Jaccard index of future items, averaged over the 1 and the 10 nearest. `gain`: over random pairs."""

    name: str
    nearest: Interval
    ten_nearest: Interval
    gain: Interval  # of the ten nearest


class Neighbours(msgspec.Struct, frozen=True):
    """`users` took something before and after the moment; `asked` of them were given neighbours.

    `over_jaccard`: the ten nearest by vectors minus those by Jaccard, paired.
    """

    users: int
    asked: int
    rows: Sequence[Overlap]  # vectors, Jaccard, random
    over_jaccard: Interval


def overlaps(embed: Embed, log: EventLog, declaration: Declaration, at_us: int) -> Neighbours | None:
    """None where fewer than LEAST_USERS took _LEAST_EVENTS items both before the moment and after it.

    `embed` gives unit vectors (n, d) of histories whose items are numbered as in the log.
    """
    past = taken(log.before(at_us), declaration)
    future = taken(log.where(log.times_us >= at_us), declaration)
    future = future - future.multiply(past)  # what both had taken before says nothing new
    lively = (past.sum(axis=1) >= _LEAST_EVENTS) & (future.sum(axis=1) >= _LEAST_EVENTS)
    users = _evenly(np.flatnonzero(lively), _MOST_USERS)
    if len(users) < LEAST_USERS:
        return None
    vectors = embed(log.histories(first_from(log, users, np.full(len(users), at_us))))
    asked = _evenly(np.arange(len(users)), _MOST_ASKED)
    chunks = np.array_split(asked, -(-len(asked) // _CHUNK_USERS))
    crowd = _Crowd(past[users], future[users], vectors)
    found = _joined([crowd.overlaps(chunk) for chunk in chunks])
    over_jaccard = bootstrap(found["vectors"][:, 1] - found["Jaccard"][:, 1])
    return Neighbours(len(users), len(asked), _rows(found), over_jaccard)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """n users: their items before and after the moment, and their vectors (n, d) as of it."""

    past: sparse.csr_array  # (n, items)
    future: sparse.csr_array
    vectors: NDArray[np.float32]

    def overlaps(self, asked: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """For each way to find neighbours (asked, 2): future overlap with the nearest and the ten nearest."""
        future = _jaccard(self.future[asked], self.future)
        others = np.ones(future.shape, bool)
        others[np.arange(len(asked)), asked] = False
        by_chance = future.mean(axis=1, where=others)
        return {
            "vectors": _of_nearest(self.vectors[asked] @ self.vectors.T, future, others),
            "Jaccard": _of_nearest(_jaccard(self.past[asked], self.past), future, others),
            "random pairs": np.stack([by_chance, by_chance], axis=1),
        }


def _of_nearest(
    similarity: NDArray[np.floating], future: NDArray[np.float64], others: NDArray[np.bool_]
) -> NDArray[np.float64]:
    order = np.argsort(np.where(others, -similarity, np.inf), axis=1, kind="stable")[:, :10]
    overlap = np.take_along_axis(future, order, axis=1)
    return np.stack([overlap[:, 0], overlap.mean(axis=1)], axis=1)


def _jaccard(some: sparse.csr_array, everyone: sparse.csr_array) -> NDArray[np.float64]:
    """(some, everyone): items in common, of all that either took."""
    common: NDArray[np.float64] = (some @ everyone.T).toarray().astype(np.float64)
    either: NDArray[np.float64] = some.sum(axis=1)[:, None] + everyone.sum(axis=1) - common
    return common / np.maximum(either, 1)


def _joined(chunks: Sequence[Mapping[str, NDArray[np.float64]]]) -> Mapping[str, NDArray[np.float64]]:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _rows(found: Mapping[str, NDArray[np.float64]]) -> list[Overlap]:
    chance = found["random pairs"][:, 1]
    return [
        Overlap(name, bootstrap(own[:, 0]), bootstrap(own[:, 1]), bootstrap(own[:, 1] - chance))
        for name, own in found.items()
    ]


def _evenly(users: NDArray[np.int64], at_most: int) -> NDArray[np.int64]:
    return users[np.unique(np.linspace(0, len(users) - 1, min(len(users), at_most)).astype(np.int64))]
