"""Taste and demand: the weight is chosen on earlier cases, and judged on later ones."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.history.window import Histories
from kindred.training.baselines import LivePopularity, Taken
from kindred.training.evaluate import Judge, from_time
from kindred.training.event_log import EventLog
from kindred.training.intervals import Interval
from kindred.training.reports import findings
from kindred.training.reports.in_demand import WEIGHTS, Demand, TasteAndDemand, worth
from kindred.training.reports.measures import Measures
from kindred.vectors.query import LEAST_POPULARITY
from logs import DAY_US, log_of

ITEMS = ("hit", "a", "b", "c", "d")


class Prefers:
    """Everybody likes one item a little, and another by less."""

    def __init__(self, log: EventLog, item_id: str, by: float) -> None:
        self._scores = np.zeros(len(log.item_ids), np.float32)
        self._scores[list(log.item_ids).index(item_id)] = by

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        return np.tile(self._scores, (len(histories), 1))


@pytest.fixture
def rush() -> EventLog:
    """Each item once, and then user after user takes the hit."""
    first = [(f"first{n}", item, n / 10) for n, item in enumerate(ITEMS)]
    return log_of(*first, *((f"u{n:02}", "hit", 1 + n / 24) for n in range(24)))


def found(log: EventLog, declaration: Declaration, model: Prefers) -> Demand:
    live = LivePopularity(Taken.of(log, declaration), 14 * DAY_US)
    cases = from_time(log, declaration, DAY_US)
    made = worth(Judge(log, declaration), cases, model, live, Measures((1,)), 14.0)
    assert made is not None
    return made


def test_demand_helps_where_taste_is_wrong(rush: EventLog, film_shop: Declaration) -> None:
    demand = found(rush, film_shop, Prefers(rush, "a", by=1.0))
    assert demand.cases == 12
    by_weight = {each.weight: each.measures["HR@1"].mean for each in demand.by_weight}
    assert list(by_weight) == list(WEIGHTS)
    assert by_weight[0.0] == 0
    assert by_weight[10.0] == demand.alone["HR@1"].mean == 1
    assert demand.best.gain["HR@1"].mean == 1
    assert demand.over_demand["HR@1"].mean == 0
    [said] = findings.of_demand(demand, 1)
    assert f"popularity_weight={demand.chosen:g}" in said


def test_no_weight_is_chosen_where_taste_is_right(rush: EventLog, film_shop: Declaration) -> None:
    demand = found(rush, film_shop, Prefers(rush, "hit", by=1.0))
    assert demand.chosen == 0
    assert "adds nothing" in findings.of_demand(demand, 1)[0]


def test_where_taste_only_disturbs_the_popular_ones_are_recommended(
    rush: EventLog, film_shop: Declaration
) -> None:
    demand = found(rush, film_shop, Prefers(rush, "a", by=1.0))
    behind = msgspec.structs.replace(demand, over_demand={"NDCG@1": Interval(-0.1, -0.2, -0.05)})
    assert findings.of_demand(behind, 1)[0].endswith("Ask so: popular().")


def test_the_sum_is_the_one_that_a_query_asks_for(rush: EventLog, film_shop: Declaration) -> None:
    live = LivePopularity(Taken.of(rush, film_shop), 14 * DAY_US)
    cases = from_time(rush, film_shop, DAY_US)[:3]
    histories, times_us = rush.histories(cases), rush.times_us[cases]
    model = Prefers(rush, "b", by=2.0)
    expected = model.scores(histories) + 0.3 * np.log(live.scores_at(histories, times_us) + LEAST_POPULARITY)
    scores = TasteAndDemand(model, live, 0.3).scores_at(histories, times_us)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_one_case_has_no_halves(rush: EventLog, film_shop: Declaration) -> None:
    live, cases = LivePopularity(Taken.of(rush, film_shop), DAY_US), from_time(rush, film_shop, DAY_US)[:1]
    model = Prefers(rush, "a", by=1.0)
    assert worth(Judge(rush, film_shop), cases, model, live, Measures((1,)), 1.0) is None
