from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.events.schema import Interaction
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog
from kindred.training.groups import Judged, by_age, by_history_length, by_popularity, judged

HOUR_US = 3_600_000_000


@pytest.fixture
def log() -> EventLog:
    """Item a was taken eight times, b and c once each; the last, on d, is not for training."""
    taken = [(f"u{number}", "a", 0) for number in range(8)]
    taken += [("u0", "b", 2 * HOUR_US), ("u0", "c", 3 * HOUR_US), ("u0", "d", 100 * HOUR_US)]
    return build_log(
        Interaction(str(number), user, item, "watch", time_us, None, None)
        for number, (user, item, time_us) in enumerate(taken)
    )


def cases_of(log: EventLog, declaration: Declaration, ranks: list[int]) -> Judged:
    cases: NDArray[np.int64] = np.flatnonzero(log.users == 0)
    return judged(log, declaration, log.before(100 * HOUR_US), cases, np.array(ranks))


def test_a_case_knows_its_history_age_and_popularity(log: EventLog, film_shop: Declaration) -> None:
    cases = cases_of(log, film_shop, [1, 1, 1, 1])
    assert cases.history_lengths.tolist() == [0, 1, 2, 3]
    assert cases.ages_us.tolist() == [-1, 2 * HOUR_US, HOUR_US, 97 * HOUR_US]
    assert cases.fifths.tolist() == [0, 4, 4, 5]  # 8 of 10 events; then the last fifth; never trained on


def test_groups_count_hits_among_the_first_ten(log: EventLog, film_shop: Declaration) -> None:
    cases = cases_of(log, film_shop, [10, 11, 1, 1])
    lengths = {bar.label: (bar.value, bar.cases) for bar in by_history_length(cases)}
    assert lengths == {"0": (1.0, 1), "1-4": (2 / 3, 3)}
    popularity = {bar.label: bar.value for bar in by_popularity(cases)}
    assert popularity == {"most popular": 1.0, "least popular": 0.5, "not in training": 1.0}


def test_the_first_event_of_a_user_has_no_age(log: EventLog, film_shop: Declaration) -> None:
    cases = cases_of(log, film_shop, [1, 1, 1, 1])
    assert {bar.label: bar.cases for bar in by_age(cases)} == {"< 1 day": 2, "< 1 week": 1}


def test_intervals_hold_the_share_and_stay_between_0_and_1() -> None:
    ranks = np.array([1] * 30 + [11] * 10)
    bar = by_history_length(Judged(ranks, np.zeros(40, np.int64), np.zeros(40), np.zeros(40)))[0]
    # By hand: (0.75 + z²/80 ± z·sqrt(.75·.25/40 + z²/6400)) / (1 + z²/40)
    assert (bar.low, bar.value, bar.high) == pytest.approx((0.5981, 0.75, 0.8581), abs=1e-4)
    perfect = by_history_length(Judged(np.ones(3), np.zeros(3, np.int64), np.zeros(3), np.zeros(3)))[0]
    assert 0 < perfect.low < perfect.high == 1
