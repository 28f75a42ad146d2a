from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.training import baselines
from kindred.training.baselines import (
    ItemKnn,
    LivePopularity,
    Popularity,
    PopularityWithin,
    Reading,
    Taken,
    popular_last,
)
from kindred.training.evaluate import Judge, from_time
from kindred.training.event_log import EventLog, has_type
from logs import DAY_US, log_of


def test_popularity_counts_and_recent_popularity_forgets(film_shop: Declaration) -> None:
    log = log_of(("u", "old", 0), ("v", "old", 0), ("u", "new", 10))
    history = log.histories(np.array([0]))
    assert Popularity(log, film_shop).scores(history).tolist() == [[1.0, 2.0]]
    recent = Popularity(log, film_shop, half_life_us=5 * DAY_US).scores(history)
    assert recent.tolist() == [[1.0, 0.5]]


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
    scores = ItemKnn(log, film_shop, Reading(decay=0.5)).scores(log.histories(np.array([2])))[
        0
    ]  # u, after a and b
    by_id = dict(zip(log.item_ids, scores.tolist(), strict=True))
    assert np.isclose(by_id["x"], 0.5 / np.sqrt(2))
    assert np.isclose(by_id["y"], 1.0 / np.sqrt(2))


def test_item_knn_ranks_by_popularity_for_users_without_history(
    film_shop: Declaration, shop: EventLog
) -> None:
    scores = ItemKnn(shop, film_shop).scores(shop.histories(shop.offsets[:2]))
    by_popularity = np.argsort(Popularity(shop, film_shop).counts, kind="stable")
    assert (np.argsort(scores, axis=1, kind="stable") == by_popularity).all()
    assert len(np.unique(scores)) == len(np.unique(Popularity(shop, film_shop).counts))


def test_what_has_no_score_comes_after_all_that_has_one_and_by_popularity(film_shop: Declaration) -> None:
    log = log_of(("u", "b", 1), ("v", "b", 2), ("u", "c", 2), ("u", "d", 3))
    popularity = Popularity(log, film_shop)  # b 2, c 1, d 1
    filled = popular_last(np.array([[0, 0, 1e-9], [-0.3, 0, 0], [0, 0, 0]], np.float32), popularity)
    assert (-filled).argsort(axis=1, kind="stable").tolist() == [[2, 0, 1], [0, 1, 2], [0, 1, 2]]
    assert filled[0, 2] == np.float32(1e-9)


def cosines(log: EventLog, declaration: Declaration) -> NDArray[np.float64]:
    """(items, items) by the definition, with a dense matrix."""
    taken = np.zeros((len(log.user_ids), len(log.item_ids)))
    positive = has_type(log, declaration.positive_types)
    taken[log.users[positive], log.items[positive]] = 1
    norms = np.maximum(np.linalg.norm(taken, axis=0), 1)
    similarity = taken.T @ taken / np.outer(norms, norms)
    np.fill_diagonal(similarity, 0)
    return similarity


def test_item_knn_equals_the_dense_definition(
    film_shop: Declaration, shop: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "_CELLS_AT_ONCE", 7 * len(shop.item_ids))  # seven rows at a time
    events = shop.offsets[1:41] - 1
    found = ItemKnn(shop, film_shop, Reading(newest=3, decay=0.5)).scores(shop.histories(events))
    similarity, positive = cosines(shop, film_shop), has_type(shop, film_shop.positive_types)
    for row, event in enumerate(events):
        user = np.searchsorted(shop.offsets, event, side="right") - 1
        before = np.arange(shop.offsets[user], event)
        newest = shop.items[before[positive[before]]][::-1][:3]
        expected = sum(0.5**age * similarity[item] for age, item in enumerate(newest))
        assert np.allclose(np.maximum(found[row], 0), expected, atol=1e-6)  # below 0: no score


def test_item_knn_keeps_the_nearest_neighbours_only(film_shop: Declaration, shop: EventLog) -> None:
    few = ItemKnn(shop, film_shop, Reading(newest=1), neighbours=4)
    scores = few.scores(shop.histories(shop.offsets[1:] - 1))
    # Ties with the fourth stay in, so that the choice among equals does not depend on their numbers.
    similarity = np.sort(cosines(shop, film_shop), axis=1)[:, ::-1]
    scored = (scores > 0).sum(axis=1)
    assert (scored <= (similarity >= similarity[:, [3]]).sum(axis=1).max()).all()
    assert 0 < scored.max() < np.count_nonzero(similarity, axis=1).max()


def test_popularity_within_follows_the_profile_and_falls_back_to_all(film_shop: Declaration) -> None:
    profiles = {"a": {"age_group": "old"}, "b": {"age_group": "young"}, "c": {"age_group": "young"}}
    steps = [("a", "x", 1.0), ("b", "y", 1.0), ("c", "y", 1.0), ("c", "z", 2.0), ("d", "z", 3.0)]
    log = log_of(*steps, profiles=profiles | {"e": {}})
    within = PopularityWithin(log, film_shop, "age_group")
    best = within.scores(log.histories(log.offsets[:-1])).argmax(axis=1)
    assert [log.item_ids[item] for item in best[:2]] == ["x", "y"]
    nobody = within.scores(log.histories(log.offsets[3:4]))  # d has no profile
    assert np.argsort(nobody[0]).tolist() == np.argsort(Popularity(log, film_shop).counts).tolist()


def test_live_popularity_knows_what_came_before_each_moment_and_no_more(film_shop: Declaration) -> None:
    log = log_of(("u", "old", 0), ("v", "old", 0), ("u", "new", 10), ("w", "new", 10))
    live = LivePopularity(Taken.of(log, film_shop), half_life_us=5 * DAY_US)
    when = np.array([10 * DAY_US + 1, 0, 10 * DAY_US])  # in no order, as cases come
    scores = live.scores_at(log.histories(log.offsets[:3]), when)
    assert np.allclose(scores, [[2, 0.5], [0, 0], [0, 0.5]], atol=1e-6)


def test_live_popularity_counts_on_and_begins_anew_for_an_earlier_moment(
    film_shop: Declaration, shop: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, when = Taken.of(shop, film_shop), np.sort(shop.times_us)[[500, 2_000, 4_000]]
    nobody = shop.histories(shop.offsets[:1])
    at_once = LivePopularity(everything, 5 * DAY_US).scores_at(shop.histories(shop.offsets[:3]), when)
    monkeypatch.setattr(baselines, "SLICE_EVENTS", 300)
    live = LivePopularity(everything, 5 * DAY_US)
    for moment in (0, 1, 2, 1, 1, 0):
        assert np.allclose(live.scores_at(nobody, when[[moment]])[0], at_once[moment], atol=1e-5)


def test_live_popularity_goes_through_the_events_once_however_many_are_asked(
    film_shop: Declaration, shop: EventLog
) -> None:
    starts: list[str] = []

    class Listening(LivePopularity):
        def _restart(self) -> None:
            starts.append("from the first event")
            super()._restart()

    cases, judge = from_time(shop, film_shop, shop.time_at(0.5)), Judge(shop, film_shop)
    judge.rank(cases, Listening(Taken.of(shop, film_shop), 5 * DAY_US))
    assert len(cases) > 1_500  # some chunks of them
    assert len(starts) == 1
