"""The generated film shop: a valid, repeatable, long-tailed, sequential stream of events."""

import json
from collections import Counter

import msgspec
import numpy as np
import pytest

from kindred.events.decode import decode
from kindred.events.encode import key_of, topic_of, value_of
from kindred.events.schema import Contract, Record
from kindred.local.dataset import time_us_of
from kindred.local.shop import ENDS_AT_US, ShopShape, Strengths, generate

SMALL = ShopShape(users=300, films=400, interactions=10_000, days=30)


@pytest.fixture(scope="module")
def shop():
    return generate(SMALL)


def genres_of(shop):
    return {item.item_id: set(json.loads(item.attributes)["genres"]) for item in shop.items}


def share_of_next_in_a_genre_of_the_last(shop):
    genres, last, same = genres_of(shop), {}, []
    for event in shop.interactions:
        if event.user_id in last:
            same.append(bool(genres[event.item_id] & genres[last[event.user_id]]))
        last[event.user_id] = event.item_id
    return np.mean(same)


def test_every_value_decodes_to_itself(shop):
    contract = Contract("interactions", "users", "items", frozenset(shop.declaration.events))
    values = list(shop.in_time_order())
    records = [
        Record(topic_of(value, contract), 0, n, ENDS_AT_US // 1_000, key_of(value), value_of(value))
        for n, value in enumerate(values)
    ]
    decoded = decode(records, contract)
    assert decoded.dead_letters == []
    sent = [msgspec.structs.replace(each, recorded_at_us=ENDS_AT_US) for each in shop.interactions]
    assert decoded.interactions == sent
    assert decoded.profiles == shop.profiles
    assert decoded.descriptions == shop.items


def test_one_seed_gives_one_shop():
    tiny = ShopShape(users=20, films=50, interactions=300, days=5)
    assert list(generate(tiny, seed=3).as_lines()) == list(generate(tiny, seed=3).as_lines())
    assert list(generate(tiny, seed=3).as_lines()) != list(generate(tiny, seed=4).as_lines())


def test_size_is_about_what_was_asked_for(shop):
    assert len(shop.items) == SMALL.films
    assert len(shop.profiles) == SMALL.users
    assert len(shop.interactions) == pytest.approx(SMALL.interactions, rel=0.15)


def test_time_runs_forward_and_ends_where_it_should(shop):
    times = [time_us_of(value) for value in shop.in_time_order()]
    assert times == sorted(times)
    assert ENDS_AT_US - 86_400_000_000 < times[-1] <= ENDS_AT_US


def test_nobody_acts_before_signing_up_and_no_film_before_it_is_out(shop):
    since = {profile.user_id: profile.updated_at_us for profile in shop.profiles}
    out = {item.item_id: item.updated_at_us for item in shop.items}
    assert all(since[event.user_id] <= event.occurred_at_us for event in shop.interactions)
    assert all(out[event.item_id] <= event.occurred_at_us for event in shop.interactions)


def test_users_and_films_arrive_as_time_goes_by(shop):
    start_us = ENDS_AT_US - SMALL.days * 86_400_000_000
    assert sum(profile.updated_at_us > start_us for profile in shop.profiles) > 30
    assert sum(item.updated_at_us > start_us for item in shop.items) == 40


def test_only_a_viewed_film_is_chosen_again(shop):
    taken = Counter((event.user_id, event.item_id) for event in shop.interactions if event.type != "view")
    assert set(taken.values()) == {1}


def test_every_event_type_occurs_and_is_declared(shop):
    assert {event.type for event in shop.interactions} == set(shop.declaration.events)


def test_a_tenth_of_the_films_gets_a_quarter_of_the_events(shop):
    counts = sorted(Counter(event.item_id for event in shop.interactions).values(), reverse=True)
    assert sum(counts[: SMALL.films // 10]) > len(shop.interactions) / 4


def test_the_next_film_resembles_the_last_because_of_the_strengths_alone(shop):
    flat = ShopShape(
        users=300, films=400, interactions=10_000, days=30, strengths=Strengths(interest=0.0, recent=0.0)
    )
    assert (
        share_of_next_in_a_genre_of_the_last(shop)
        > share_of_next_in_a_genre_of_the_last(generate(flat)) + 0.05
    )


def test_moving_the_end_moves_every_time_by_the_same(shop):
    moved = shop.ending_at(ENDS_AT_US + 5)
    by_us = ENDS_AT_US + 5 - shop.interactions[-1].occurred_at_us
    pairs = zip(shop.in_time_order(), moved.in_time_order(), strict=True)
    assert {time_us_of(later) - time_us_of(value) for value, later in pairs} == {by_us}
