from __future__ import annotations

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.embedding.manifest import HeldOut
from kindred.training.baselines import Popularity, Reading, newest_positives
from kindred.training.evaluate import from_time, metrics, ranks
from kindred.training.event_log import EventLog
from kindred.training.factorisation import Als, Bpr
from kindred.training.holdout import held_out_users, remaining

ALL = Reading(newest=1_000, decay=1.0)

pytest.importorskip("implicit")


def test_als_folds_a_history_in_as_the_least_squares_solution(shop: EventLog, film_shop: Declaration) -> None:
    alpha, ridge = 3.0, 2.0
    als = Als(shop, film_shop, factors=8, alpha=alpha, regularization=ridge, reading=ALL)
    histories = shop.histories(shop.offsets[1:6] - 1)
    own = newest_positives(histories, film_shop.positive_types, len(shop.item_ids), ALL).toarray()
    factors = als._model.item_factors.astype(np.float64)
    for row, found in zip(own, als.scores(histories), strict=True):
        # Hu 2008: minimise sum of c (p - x·y)^2 + ridge |x|^2, c = alpha·r where taken, else 1, p = taken.
        confidence = np.where(row > 0, alpha * row, 1.0)
        system = factors.T @ (confidence[:, None] * factors) + ridge * np.eye(8)
        user = np.linalg.solve(system, factors.T @ (confidence * (row > 0)))
        assert np.allclose(found, factors @ user, atol=2e-3)


def test_als_ranks_by_popularity_for_users_without_history(shop: EventLog, film_shop: Declaration) -> None:
    (scores,) = Als(shop, film_shop, factors=8).scores(shop.histories(shop.offsets[:1]))
    by_popularity = np.argsort(Popularity(shop, film_shop).counts, kind="stable")
    assert np.argsort(scores, kind="stable").tolist() == by_popularity.tolist()


def test_bpr_reads_a_user_as_the_weighted_mean_of_the_history(shop: EventLog, film_shop: Declaration) -> None:
    bpr = Bpr(shop, film_shop, factors=8, iterations=5, reading=Reading(newest=2, decay=0.5))
    histories = shop.histories(shop.offsets[1:2] - 1)
    weights = newest_positives(
        histories, film_shop.positive_types, len(shop.item_ids), bpr.reading
    ).toarray()[0]
    user = weights @ bpr._items / weights.sum()
    assert sorted(weights[weights > 0]) == [0.5, 1.0]
    assert np.allclose(bpr.scores(histories)[0], bpr._items @ user + bpr._biases, atol=1e-6)


@pytest.mark.parametrize("factorise", [Als, Bpr])
def test_users_whom_the_fit_never_met_are_ranked_for_by_their_fresh_history(
    factorise: type[Als | Bpr], shop: EventLog, film_shop: Declaration
) -> None:
    kept_back = HeldOut(users_share=0.3)
    past, newcomers = remaining(shop, film_shop, kept_back), held_out_users(shop, kept_back)
    cases = from_time(shop, film_shop, 0)
    cases = cases[newcomers[shop.users[cases]]]
    found = metrics(ranks(shop, film_shop, cases, factorise(past, film_shop, factors=16)))["ndcg@10"]
    assert found > 1.3 * metrics(ranks(shop, film_shop, cases, Popularity(past, film_shop)))["ndcg@10"]
