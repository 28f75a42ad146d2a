from __future__ import annotations

import numpy as np

from kindred.declaration import Declaration
from kindred.events.schema import Interaction
from kindred.training.baselines import ItemKnn, Popularity
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog

DAY_US = 86_400_000_000


def log_of(*steps: tuple[str, str, int]) -> EventLog:
    return build_log(
        Interaction(f"e{at}", user, item, "watch", day * DAY_US, None, None)
        for at, (user, item, day) in enumerate(steps)
    )


def test_popularity_counts_and_recent_popularity_forgets(film_shop: Declaration) -> None:
    log = log_of(("u", "old", 0), ("v", "old", 0), ("u", "new", 10))
    history = log.histories(np.array([0]))
    assert Popularity(log, film_shop).scores(history).tolist() == [[2.0, 1.0]]
    recent = Popularity(log, film_shop, half_life_us=5 * DAY_US).scores(history)
    assert recent.tolist() == [[0.5, 1.0]]


def test_item_knn_scores_by_cosine_and_favours_the_newest(film_shop: Declaration) -> None:
    log = log_of(
        ("u", "a", 1),
        ("u", "b", 2),
        ("u", "c", 3),
        ("v", "a", 1),
        ("v", "x", 2),
        ("w", "b", 1),
        ("w", "y", 2),
    )
    scores = ItemKnn(log, film_shop, decay=0.5).scores(log.histories(np.array([2])))[0]  # u, after a and b
    by_id = dict(zip(log.item_ids, scores.tolist(), strict=True))
    assert np.isclose(by_id["x"], 0.5 / np.sqrt(2))
    assert np.isclose(by_id["y"], 1.0 / np.sqrt(2))


def test_item_knn_says_nothing_about_users_without_history(film_shop: Declaration, shop: EventLog) -> None:
    scores = ItemKnn(shop, film_shop).scores(shop.histories(shop.offsets[:2]))
    assert scores.shape == (2, len(shop.item_ids))
    assert not scores.any()
