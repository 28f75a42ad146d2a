from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.events.schema import Interaction
from kindred.history.window import Histories
from kindred.training import evaluate
from kindred.training.baselines import ItemKnn, Reading
from kindred.training.dataset import build_log
from kindred.training.evaluate import Judge, Rules, from_time, leave_one_out, metrics, ranks
from kindred.training.event_log import EventLog
from logs import log_of


@dataclass
class Fixed:
    """The same scores for everyone."""

    values: list[float]

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        return np.tile(np.array(self.values, np.float32), (len(histories), 1))


class Listening(Fixed):
    """Remembers how long the histories were."""

    def __init__(self, values: list[float]) -> None:
        super().__init__(values)
        self.read: list[int] = []

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        self.read.extend(np.diff(histories.offsets).tolist())
        return super().scores(histories)


@pytest.fixture
def three_steps() -> EventLog:
    """One user takes a, b, c in turn; d is someone else's."""
    steps = [("u", "a"), ("u", "b"), ("u", "c"), ("v", "d")]
    return build_log(
        Interaction("e", user, item, "watch", time_us, None, None)
        for time_us, (user, item) in enumerate(steps)
    )


def rank_of_c(log: EventLog, declaration: Declaration, scores: list[float]) -> int:
    return int(ranks(log, declaration, np.array([2]), Fixed(scores))[0])


def test_seen_items_do_not_compete(three_steps: EventLog, film_shop: Declaration) -> None:
    assert rank_of_c(three_steps, film_shop, [9, 8, 2, 1]) == 1


def test_a_tie_counts_against_the_target(three_steps: EventLog, film_shop: Declaration) -> None:
    assert rank_of_c(three_steps, film_shop, [0, 0, 2, 2]) == 2


def test_what_is_gone_neither_competes_nor_is_asked_about(
    three_steps: EventLog, film_shop: Declaration
) -> None:
    without_d = replace(three_steps, removed=np.array([False, False, False, True]))
    assert rank_of_c(without_d, film_shop, [0, 0, 1, 9]) == 1
    assert rank_of_c(three_steps, film_shop, [0, 0, 1, 9]) == 2
    assert from_time(without_d, film_shop, 1).tolist() == [1, 2]
    assert leave_one_out(without_d, film_shop).tolist() == [2]


def test_metrics_of_hand_computed_ranks() -> None:
    found = metrics(np.array([1, 3, 11]), cutoffs=(10,))
    assert found == pytest.approx(
        {"mrr": (1 + 1 / 3 + 1 / 11) / 3, "hr@10": 2 / 3, "ndcg@10": (1 + 0.5) / 3}, abs=1e-9
    )


def test_ranks_equal_a_brute_force(shop: EventLog, film_shop: Declaration) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 30, len(shop.item_ids)).astype(float).tolist()
    cases = from_time(shop, film_shop, shop.time_at(0.9))
    for case, found in zip(cases, ranks(shop, film_shop, cases, Fixed(values)), strict=True):
        user, target = shop.users[case], shop.items[case]
        before = range(shop.offsets[user], case)
        seen = {
            shop.items[event]
            for event in before
            if shop.type_names[shop.types[event]] in film_shop.seen_types
        }
        better = [
            item
            for item in range(len(values))
            if item not in seen and item != target and values[item] >= values[target]
        ]
        assert found == 1 + len(better)


def test_leave_one_out_takes_each_users_newest_target(shop: EventLog, film_shop: Declaration) -> None:
    cases = leave_one_out(shop, film_shop)
    assert len(cases) == len(shop.user_ids)
    everything = from_time(shop, film_shop, 0)
    for user, case in enumerate(cases):
        assert shop.users[case] == user
        assert case == everything[shop.users[everything] == user].max()


def test_a_temporal_split_asks_only_about_later_events(shop: EventLog, film_shop: Declaration) -> None:
    boundary_us = shop.time_at(0.8)
    assert shop.times_us[from_time(shop, film_shop, boundary_us)].min() >= boundary_us


def test_many_small_chunks_give_the_same_ranking(
    shop: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, scorer = from_time(shop, film_shop, shop.time_at(0.9)), Fixed(list(range(len(shop.item_ids))))
    whole = Judge(shop, film_shop).rank(cases, scorer, best=5)
    monkeypatch.setattr(evaluate, "_CHUNK_SCORES", 3 * len(shop.item_ids))
    told: list[int] = []
    parts = Judge(shop, film_shop, told.append).rank(cases, scorer, best=5)
    assert (parts.ranks == whole.ranks).all()
    assert (parts.best == whole.best).all()
    assert sum(told) == len(cases)
    assert max(told) == 3


def test_a_score_that_is_no_number_never_looks_good(three_steps: EventLog, film_shop: Declaration) -> None:
    nan = float("nan")
    assert rank_of_c(three_steps, film_shop, [0, 0, nan, 1]) == 2
    assert rank_of_c(three_steps, film_shop, [0, 0, 1, nan]) == 2


def test_the_best_list_leaves_out_what_was_seen_and_says_where_too_few_compete(
    three_steps: EventLog, film_shop: Declaration
) -> None:
    case = np.array([2])
    best = Judge(three_steps, film_shop).rank(case, Fixed([9, 8, 2, 1]), best=3).best
    assert sorted(best[0].tolist()) == [-1, 2, 3]
    best = Judge(three_steps, film_shop).rank(case, Fixed([9, 8, 2, 1]), best=3, rules=Rules(seen=True)).best
    assert sorted(best[0].tolist()) == [0, 1, 2]


def test_only_the_chosen_items_compete_and_the_target(three_steps: EventLog, film_shop: Declaration) -> None:
    case, judge = np.array([2]), Judge(three_steps, film_shop)
    nobody = Rules(items=np.zeros(4, bool))
    assert judge.rank(case, Fixed([0, 0, 1, 9])).ranks.tolist() == [2]
    assert judge.rank(case, Fixed([0, 0, 1, 9]), rules=nobody).ranks.tolist() == [1]


def test_seen_items_compete_where_repeats_are_asked_for(
    three_steps: EventLog, film_shop: Declaration
) -> None:
    ranked = Judge(three_steps, film_shop).rank(np.array([2]), Fixed([9, 8, 2, 1]), rules=Rules(seen=True))
    assert ranked.ranks.tolist() == [3]


def test_an_older_history_is_read_but_what_was_seen_since_stays_out(
    three_steps: EventLog, film_shop: Declaration
) -> None:
    listening = Listening([9, 8, 2, 1])
    ranked = Judge(three_steps, film_shop).rank(np.array([2]), listening, ends=np.array([1]))
    assert listening.read == [1]
    assert ranked.ranks.tolist() == [1]


def test_of_a_long_history_only_what_is_read_is_copied(film_shop: Declaration) -> None:
    log = log_of(*(("u", f"i{step % 9}", step) for step in range(1_000)))
    listening = Listening([0.0] * 9)
    Judge(log, film_shop, reads=50).rank(np.array([999]), listening)
    assert listening.read == [50]


def test_what_is_read_holds_as_many_positive_events_however_rare_they_are(film_shop: Declaration) -> None:
    kinds = ["watch", *["view"] * 30] * 10
    log = build_log(
        Interaction(f"{step:03}", "u", f"i{step}", kind, step, None, None) for step, kind in enumerate(kinds)
    )
    listening = Listening([0.0] * len(kinds))
    Judge(log, film_shop, reads=3).rank(np.array([len(kinds) - 1]), listening)
    assert 2 * 31 < listening.read[0] < 6 * 31


def test_leaving_out_what_nobody_reads_changes_no_rank(shop: EventLog, film_shop: Declaration) -> None:
    knn, cases = ItemKnn(shop, film_shop, Reading(newest=3)), from_time(shop, film_shop, shop.time_at(0.8))
    whole = Judge(shop, film_shop).rank(cases, knn).ranks
    assert (Judge(shop, film_shop, reads=3).rank(cases, knn).ranks == whole).all()
