from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.evaluate import Judge, from_time
from kindred.training.event_log import EventLog
from kindred.training.reports.freshness import MISSED, worth
from kindred.training.reports.measures import Measures
from logs import DAY_US, log_of


class Successor:
    """Knows that the item after the newest is next, and nothing else."""

    def __init__(self, items: int) -> None:
        self._items = items

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        scores = np.zeros((len(histories), self._items), np.float32)
        for row, (start, end) in enumerate(zip(histories.offsets[:-1], histories.offsets[1:], strict=True)):
            if end > start:
                scores[row, (histories.items[end - 1] + 1) % self._items] = 1
        return scores


@pytest.fixture
def last_steps(ring: EventLog) -> NDArray[np.int64]:
    """The twelfth step of each of the ring's users."""
    return ring.offsets[1:] - 1


def test_missing_one_event_loses_what_only_that_event_tells(
    ring: EventLog, film_shop: Declaration, last_steps: NDArray[np.int64]
) -> None:
    model = Successor(len(ring.item_ids))
    found = worth(Judge(ring, film_shop), last_steps, model, Measures((1,)), None)
    assert [each.events for each in found.by_events] == list(MISSED)
    assert [each.measures["HR@1"].mean for each in found.by_events] == [1, 0, 0, 0, 0, 0, 0]
    assert [each.left for each in found.by_events] == [1, 1, 1, 1, 1, 0, 0]


def test_stale_vectors_are_compared_with_a_fresh_baseline_case_by_case(
    ring: EventLog, film_shop: Declaration, last_steps: NDArray[np.int64]
) -> None:
    model = Successor(len(ring.item_ids))
    found = worth(Judge(ring, film_shop), last_steps, model, Measures((1,)), None, model).by_events
    assert [each.gain["HR@1"].mean for each in found[:3]] == [0, -1, -1]
    assert [each.loss["HR@1"].mean for each in found[:3]] == [0, 1, 1]
    assert not worth(Judge(ring, film_shop), last_steps, model, Measures((1,)), None).by_events[0].gain


def test_schedules_miss_what_came_since_the_hour_the_night_and_the_start(
    ring: EventLog, film_shop: Declaration, last_steps: NDArray[np.int64]
) -> None:
    # The twelfth step is at 05:30: nightly misses eleven steps, hourly the one at 05:00.
    model, judge = Successor(len(ring.item_ids)), Judge(ring, film_shop)
    found = worth(judge, last_steps, model, Measures((1,)), 10 * DAY_US)
    by_name = {each.name: each for each in found.by_clock}
    assert list(by_name) == ["never", "nightly", "hourly", "every event"]
    assert by_name["nightly"].missed == 11
    assert by_name["hourly"].missed == 1
    assert by_name["every event"].missed == 0
    # Ten of thirty users had done all they did by then; of the others nothing was known yet.
    assert by_name["never"].missed == pytest.approx(11 * 20 / 30)
    assert by_name["never"].measures["HR@1"].mean == pytest.approx(10 / 30)
    assert by_name["hourly"].loss["HR@1"].mean == 1
    assert by_name["every event"].loss["HR@1"].mean == 0


def test_without_a_common_start_there_is_no_vector_that_is_never_updated(
    ring: EventLog, film_shop: Declaration, last_steps: NDArray[np.int64]
) -> None:
    found = worth(Judge(ring, film_shop), last_steps, Successor(len(ring.item_ids)), Measures(), None)
    assert [each.name for each in found.by_clock] == ["nightly", "hourly", "every event"]


def test_what_was_seen_since_stays_out_however_old_the_vector(film_shop: Declaration) -> None:
    log = log_of(("u", "a", 0), ("u", "b", 0.5), ("u", "c", 1), ("v", "d", 0))
    case = from_time(log, film_shop, DAY_US)

    class Favourites:
        def scores(self, histories: Histories) -> NDArray[np.float32]:
            return np.tile(np.array([4, 3, 2, 1], np.float32), (len(histories), 1))

    found = worth(Judge(log, film_shop), case, Favourites(), Measures((1,)), None)
    assert {each.measures["HR@1"].mean for each in found.by_events} == {1.0}
