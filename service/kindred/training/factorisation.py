"""Matrix factorisation by the library `implicit`, as baselines: iALS and BPR, on fresh histories.

Neither knows new users or new events by itself. Both fold the history in: item factors stay as trained,
and the user's are made from the newest positives, each older one counting `decay` times less.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.baselines import NEWEST_TEN, Popularity, Reading, newest_positives, popular_last, taken
from kindred.training.event_log import EventLog


def is_installed() -> bool:
    """Whether the library is there: it comes with the extra `test`, or by itself."""
    return find_spec("implicit") is not None


class Als:
    """Implicit ALS (Hu, Koren and Volinsky 2008): a user is the least-squares solution of the history."""

    def __init__(
        self,
        log: EventLog,
        declaration: Declaration,
        *,
        factors: int = 64,
        regularization: float = 10.0,
        alpha: float = 1.0,
        reading: Reading = NEWEST_TEN,
        seed: int = 0,
    ) -> None:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        self._model = AlternatingLeastSquares(
            factors=factors, regularization=regularization, alpha=alpha, num_threads=1, random_state=seed
        )
        self._one_thread = threadpool_limits
        with self._one_thread(1, "blas"):
            self._model.fit(sparse.csr_matrix(taken(log, declaration)), show_progress=False)
        self._popularity = Popularity(log, declaration)
        self._positive_types = declaration.positive_types
        self.reading = reading

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """(n, items); by popularity where the history has no positive event."""
        factors = self._model.item_factors
        weights = newest_positives(histories, self._positive_types, len(factors), self.reading)
        with self._one_thread(1, "blas"):
            users = self._model.recalculate_user(np.arange(len(histories)), sparse.csr_matrix(weights))
        return popular_last(users @ factors.T, self._popularity)


class Bpr:
    """BPR matrix factorisation (Rendle 2009): a user is the mean of the history's item factors.

    Measured on MovieLens-100K: that mean ranks better than descending the same loss over the history.
    """

    def __init__(
        self,
        log: EventLog,
        declaration: Declaration,
        *,
        factors: int = 64,
        regularization: float = 0.01,
        learning_rate: float = 0.02,
        iterations: int = 100,
        reading: Reading = NEWEST_TEN,
        seed: int = 0,
    ) -> None:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=factors,
            regularization=regularization,
            learning_rate=learning_rate,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(sparse.csr_matrix(taken(log, declaration)), show_progress=False)
        self._items, self._biases = model.item_factors[:, :-1], model.item_factors[:, -1]
        self._positive_types = declaration.positive_types
        self.reading = reading

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        weights = newest_positives(histories, self._positive_types, len(self._items), self.reading)
        users = (weights @ self._items) / np.maximum(weights.sum(axis=1), 1e-9)[:, None]
        scores: NDArray[np.float32] = users @ self._items.T + self._biases
        return scores
