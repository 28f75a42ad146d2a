from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.embedding.manifest import HeldOut
from kindred.errors import Misconfigured
from kindred.training.evaluate import leave_one_out
from kindred.training.event_log import EventLog
from kindred.training.holdout import before_last_target, held_out_items, held_out_users, remaining
from logs import log_of


def test_nothing_is_held_out_by_default(shop: EventLog, film_shop: Declaration) -> None:
    assert remaining(shop, film_shop, HeldOut()).training_range() == shop.training_range()


def test_held_out_users_and_items_leave_no_event(shop: EventLog, film_shop: Declaration) -> None:
    held_out = HeldOut(users_share=0.2, items_share=0.1, seed=3)
    users, items = held_out_users(shop, held_out), held_out_items(shop, held_out)
    left = remaining(shop, film_shop, held_out)
    assert 0.1 < users.mean() < 0.3
    assert 0.02 < items.mean() < 0.2
    assert not np.diff(left.offsets)[users].any()
    assert not items[left.items].any()
    assert len(left) == np.count_nonzero(~users[shop.users] & ~items[shop.items])


def test_the_choice_follows_the_id_alone_and_the_seed(shop: EventLog) -> None:
    later = log_of(*((user, "x", 1.0) for user in reversed([*shop.user_ids, "one-more"])))
    held_out = HeldOut(users_share=0.3, seed=1)
    chosen = {user for user, out in zip(shop.user_ids, held_out_users(shop, held_out), strict=True) if out}
    again = {user for user, out in zip(later.user_ids, held_out_users(later, held_out), strict=True) if out}
    assert chosen == again - {"one-more"}
    assert (held_out_users(shop, held_out) != held_out_users(shop, HeldOut(users_share=0.3))).any()


def test_a_larger_share_holds_the_smaller_one(shop: EventLog) -> None:
    few, many = (held_out_users(shop, HeldOut(users_share=share)) for share in (0.1, 0.4))
    assert not (few & ~many).any()
    assert many.sum() > few.sum() > 0


def test_the_newest_share_goes_by_time(shop: EventLog, film_shop: Declaration) -> None:
    left = remaining(shop, film_shop, HeldOut(newest_share=0.25))
    assert len(left) == pytest.approx(0.75 * len(shop), abs=1)
    assert left.times_us.max() < shop.time_at(0.75)


def test_of_no_events_no_newest_share_is_held_out(film_shop: Declaration) -> None:
    with pytest.raises(Misconfigured, match=r"There is no event in this log.*\?$"):
        remaining(log_of(), film_shop, HeldOut(newest_share=0.1))


def test_the_last_target_and_what_follows_it_is_held_out(film_shop: Declaration) -> None:
    log = log_of(("u", "a", 1), ("u", "b", 2), ("u", "b", 3), ("v", "c", 1))
    assert before_last_target(log, film_shop).tolist() == [True, False, False, False]
    left = remaining(log, film_shop, HeldOut(last_targets=True))
    assert [left.item_ids[item] for item in left.items] == ["a"]


def test_a_removal_does_not_move_the_split(film_shop: Declaration) -> None:
    log = log_of(("u", "a", 1), ("u", "b", 2), ("v", "c", 1))
    gone = replace(log, removed=np.array([False, True, False]))
    assert (before_last_target(gone, film_shop) == before_last_target(log, film_shop)).all()
    assert leave_one_out(gone, film_shop).tolist() == [2]


def test_leave_one_out_asks_for_what_the_last_target_hold_out_kept_back(
    shop: EventLog, film_shop: Declaration
) -> None:
    left = remaining(shop, film_shop, HeldOut(last_targets=True))
    cases = leave_one_out(shop, film_shop)
    users = shop.users[cases]
    assert (np.diff(left.offsets)[users] == cases - shop.offsets[users]).all()
