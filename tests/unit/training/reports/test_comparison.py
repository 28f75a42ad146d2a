from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.evaluate import Judge, from_time
from kindred.training.event_log import EventLog
from kindred.training.reports.comparison import Comparison, Group, Rival, compare, items_known
from kindred.training.reports.measures import Measures
from kindred.training.reports.splits import Split
from logs import DAY_US, log_of


class Favours:
    """Ranks these items first, in this order, for everyone; all others are level."""

    def __init__(self, log: EventLog, *item_ids: str) -> None:
        self._scores = np.zeros(len(log.item_ids), np.float32)
        for place, item_id in enumerate(item_ids):
            self._scores[list(log.item_ids).index(item_id)] = len(item_ids) - place

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        return np.tile(self._scores, (len(histories), 1))


class Live(Favours):
    def scores(self, histories: Histories) -> NDArray[np.float32]:
        raise AssertionError("a live scorer is asked as of a moment")

    def scores_at(self, histories: Histories, times_us: NDArray[np.int64]) -> NDArray[np.float32]:
        assert (times_us >= 10 * DAY_US).all()
        return np.tile(self._scores, (len(histories), 1))


@pytest.fixture
def split(film_shop: Declaration) -> tuple[EventLog, Split]:
    """Learned until day 10: u and v know a (three times taken), b and c; n and the item z are new."""
    log = log_of(
        ("u", "a", 1), ("u", "b", 2), ("v", "a", 1), ("w", "a", 1), ("w", "c", 3),
        ("u", "c", 11), ("u", "b", 12), ("u", "z", 13), ("n", "a", 11),
    )  # fmt: skip
    cases = from_time(log, film_shop, 10 * DAY_US)
    return log, Split("temporal", cases, len(cases), log.before(10 * DAY_US), 10 * DAY_US, ())


def compared(
    split: tuple[EventLog, Split],
    declaration: Declaration,
    rivals: Sequence[Rival],
    measures: Measures,
    known_ids: str = "abc",
) -> Comparison:
    log, asked = split
    return compare(asked, Judge(log, declaration), rivals, measures, 100, items_known(log, known_ids))


def group(found: list[Group], name: str) -> Group:
    return next(each for each in found if each.name == name)


def test_groups_hold_the_cases_that_their_names_say(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, _ = split
    rivals = [Rival("this model", Favours(log, "c")), Rival("popularity", Favours(log, "a", "b"))]
    found = compared(split, film_shop, rivals, Measures((1,)))
    sizes = {each.name: (each.cases, each.users) for each in found.groups}
    assert (found.overall.cases, found.overall.users) == (3, 2)
    assert sizes == {
        "both known": (1, 1),  # u takes c
        "users known": (2, 1),
        "users new": (1, 1),
        "items known": (2, 2),
        "items new": (1, 1),
        "repeated pairs": (1, 1),  # u takes b again
    }


def test_an_item_that_only_validation_met_is_new(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, asked = split
    assert list(log.item_ids).index("c") in asked.learned.items  # an event, which the baselines learn from
    found = compared(split, film_shop, [Rival("this model", Favours(log))], Measures((1,)), known_ids="ab")
    assert group(list(found.groups), "items known").cases == 1  # n takes a
    assert group(list(found.groups), "items new").cases == 2


def test_gains_are_the_model_minus_each_baseline(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, _ = split
    rivals = [Rival("this model", Favours(log, "c")), Rival("popularity", Favours(log, "a", "b"))]
    found = compared(split, film_shop, rivals, Measures((1,)))
    model, popularity = found.overall.rows
    assert model.measures["HR@1"].mean == pytest.approx(2 / 3)  # c of u, and z, when nothing else is left
    assert popularity.measures["HR@1"].mean == pytest.approx(2 / 3)  # a of n, and z
    assert popularity.gain["HR@1"].mean == 0
    assert group(list(found.groups), "both known").rows[1].gain["HR@1"].mean == 1
    assert not model.gain


def test_seen_items_compete_for_repeated_pairs_alone(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, _ = split
    model = Rival("this model", Favours(log, "a", "b"))
    found = compared(split, film_shop, [model], Measures((2,)))
    again = group(list(found.groups), "repeated pairs").rows[0].measures
    assert again["MRR"].mean == 0.5  # a, which u had seen too, is ahead of b


def test_the_best_baseline_is_never_one_that_knows_more_than_the_model(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, _ = split
    rivals = [
        Rival("this model", Favours(log, "z")),
        Rival("live", Live(log, "c", "z", "a")),
        Rival("popularity", Favours(log, "a")),
    ]
    found = compared(split, film_shop, rivals, Measures((1,)))
    assert found.overall.best == "popularity"
    assert [row.is_live for row in found.overall.rows] == [False, True, False]


def test_taste_is_popularity_in_what_was_learned_and_the_share_that_is_shown(
    split: tuple[EventLog, Split], film_shop: Declaration
) -> None:
    log, _ = split
    model = Rival("this model", Favours(log, "c"))
    found = compared(split, film_shop, [model], Measures((1,)))
    taste = found.overall.rows[0].taste
    assert taste is not None
    # a was taken three times, b and c once, z never: b and c share the middle. Shown are c, z and c.
    assert (taste.events, taste.percentile.mean) == pytest.approx((2 / 3, 1 / 3))
    assert taste.percentile.low < taste.percentile.mean < taste.percentile.high
    assert taste.coverage == 2 / 4
    assert found.targets.events == pytest.approx((1 + 0 + 3) / 3)
    assert found.targets.percentile.mean == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.targets.coverage == 3 / 4
