from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.errors import Misconfigured
from kindred.events.schema import Interaction
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog
from kindred.training.labels import wanted_and_unwanted


def log_of(*steps: tuple[str, str, str]) -> EventLog:
    """User, item and type of events one after another."""
    return build_log(
        Interaction(f"e{at}", user, item, kind, at, None, None) for at, (user, item, kind) in enumerate(steps)
    )


def test_wanted_are_positive_and_unwanted_negative_events_on_new_items(film_shop: Declaration) -> None:
    log = log_of(
        ("u", "a", "view"),  # context: asked for neither way
        ("u", "a", "watch"),
        ("u", "b", "dislike"),
        ("u", "b", "dislike"),  # seen by now
        ("u", "a", "dislike"),  # watched before: it was recommended no more
        ("u", "b", "like"),
        ("v", "b", "like"),
    )
    wanted, unwanted = wanted_and_unwanted(log, film_shop)
    assert wanted.tolist() == [False, True, False, False, False, False, True]
    assert unwanted.tolist() == [False, False, True, False, False, False, False]


def test_nothing_is_asked_of_an_item_that_is_gone(film_shop: Declaration) -> None:
    log = log_of(("u", "a", "watch"), ("u", "b", "watch"), ("u", "c", "dislike"))
    gone = replace(log, removed=np.array([True, False, True]))
    wanted, unwanted = wanted_and_unwanted(gone, film_shop)
    assert wanted.tolist() == [False, True, False]
    assert not unwanted.any()


def test_nothing_is_asked_of_the_first_event_left_of_a_longer_history(film_shop: Declaration) -> None:
    log = log_of(("u", "a", "watch"), ("u", "b", "watch"), ("v", "a", "dislike"), ("v", "b", "watch"))
    cut = replace(log, from_start=np.array([False, False]))
    wanted, unwanted = wanted_and_unwanted(cut, film_shop)
    assert wanted.tolist() == [False, True, False, True]
    assert not unwanted.any()


def test_a_log_without_its_oldest_events_says_so(film_shop: Declaration) -> None:
    log = log_of(("u", "a", "watch"), ("u", "b", "watch"), ("v", "c", "watch"), ("w", "d", "watch"))
    kept = log.where(np.array([False, True, True, False]))
    assert kept.from_start.tolist()[:2] == [False, True]
    assert kept.cut_events().tolist() == [0]
    assert log.before(1).cut_events().tolist() == []


def test_a_log_without_wanted_events_is_refused(film_shop: Declaration) -> None:
    with pytest.raises(Misconfigured, match="nothing to learn from"):
        wanted_and_unwanted(log_of(("u", "a", "dislike"), ("u", "b", "view")), film_shop)


def test_slices_go_over_every_user_once(
    shop: EventLog, monkeypatch: pytest.MonkeyPatch, film_shop: Declaration
) -> None:
    whole = wanted_and_unwanted(shop, film_shop)
    monkeypatch.setattr("kindred.training.event_log.SLICE_EVENTS", 100)
    slices = list(shop.slices())
    assert len(slices) > 10
    users = [user for each, _ in slices for user in range(each.start, each.stop)]
    events = [event for _, each in slices for event in range(each.start, each.stop)]
    assert users == list(range(len(shop.user_ids)))
    assert events == list(range(len(shop)))
    np.testing.assert_array_equal(wanted_and_unwanted(shop, film_shop), whole)
