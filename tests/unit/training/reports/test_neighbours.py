from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.event_log import EventLog
from kindred.training.reports import neighbours
from kindred.training.reports.neighbours import Neighbours, overlaps
from logs import DAY_US, log_of


@pytest.fixture(scope="module")
def circles() -> EventLog:
    """60 people in three circles. Before day 10 all take what they like, after it each circle one set."""
    rng = np.random.default_rng(0)
    before = [
        (f"u{user:02}", f"early{item:02}", float(rng.integers(9)))
        for user in range(60)
        for item in rng.choice(30, 6, replace=False)
    ]
    after = [(f"u{user:02}", f"late{user % 3}-{n}", 11.0 + n) for user in range(60) for n in range(5)]
    return log_of(*before, *after)


def by_circle(histories: Histories) -> NDArray[np.float32]:
    """Vectors that know the circle; the histories must end where the circles begin to matter."""
    assert histories.times_us.max() < 10 * DAY_US
    circles = [int(user_id[1:]) % 3 for user_id in histories.user_ids]
    return np.eye(3, dtype=np.float32)[circles]


def measured(log: EventLog, declaration: Declaration) -> Neighbours:
    found = overlaps(by_circle, log, declaration, 10 * DAY_US)
    assert found is not None
    return found


def test_vectors_that_know_the_future_share_all_of_it(circles: EventLog, film_shop: Declaration) -> None:
    found = measured(circles, film_shop)
    vectors, jaccard, chance = found.rows
    assert (found.users, found.asked) == (60, 60)
    assert [row.name for row in found.rows] == ["vectors", "Jaccard", "random pairs"]
    assert vectors.nearest.mean == vectors.ten_nearest.mean == 1
    assert chance.ten_nearest.mean == pytest.approx(19 / 59)  # the rest of one's own circle
    assert vectors.gain.mean == pytest.approx(1 - 19 / 59)
    assert found.over_jaccard.mean == pytest.approx(1 - jaccard.ten_nearest.mean)
    assert abs(jaccard.gain.mean) < 0.1  # early items say nothing of the circles


def test_small_chunks_give_the_same(
    circles: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(circles, film_shop)
    monkeypatch.setattr(neighbours, "_CHUNK_USERS", 7)
    assert measured(circles, film_shop) == whole


def test_nobody_is_a_neighbour_of_oneself(film_shop: Declaration) -> None:
    alone = [(f"u{user:02}", f"own{user}-{n}", 1.0 + n) for user in range(25) for n in range(3)]
    future = [(f"u{user:02}", f"next{user}-{n}", 12.0) for user in range(25) for n in range(3)]
    found = overlaps(by_circle, log_of(*alone, *future), film_shop, 10 * DAY_US)
    assert found is not None
    assert {row.ten_nearest.mean for row in found.rows} == {0.0}


def test_too_few_people_are_not_compared(circles: EventLog, film_shop: Declaration) -> None:
    few = circles.where(circles.users < 10)
    assert overlaps(by_circle, few, film_shop, 10 * DAY_US) is None


def test_what_was_taken_before_does_not_count_again(circles: EventLog, film_shop: Declaration) -> None:
    first = [(f"u{user:02}", f"same{n}", 1.0 + n) for user in range(25) for n in range(4)]
    again = [(user, item, day + 11) for user, item, day in first]
    assert overlaps(by_circle, log_of(*first, *again), film_shop, 10 * DAY_US) is None
