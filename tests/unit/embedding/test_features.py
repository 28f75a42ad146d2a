from __future__ import annotations

import numpy as np

from kindred import declaration
from kindred.embedding.features import GAP_BUCKETS, Events, FeatureEncoder, encode_windows, fit_vocabulary

SECOND = 1_000_000


def events(times_us: list[int]) -> Events:
    count = len(times_us)
    return Events(np.arange(1, count + 1), np.ones(count, np.int64), np.array(times_us, np.int64))


def test_windows_hold_the_oldest_first_and_padding_last() -> None:
    windows = encode_windows(events([0] * 5), np.array([0, 3]), np.array([3, 4]))
    assert windows.rows.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert windows.lengths.tolist() == [3, 1]


def test_gaps_are_logarithmic_and_unknown_for_the_first() -> None:
    times_us = [0, 0, SECOND, 4 * SECOND, 10 * SECOND, 10**17]
    windows = encode_windows(events(times_us), np.array([0]), np.array([6]))
    assert windows.gaps.tolist() == [[0, 1, 2, 3, 3, GAP_BUCKETS - 1]]


def test_a_window_knows_nothing_of_what_lies_before_it() -> None:
    part = encode_windows(events([5 * SECOND, 9 * SECOND]), np.array([0]), np.array([2]))
    within = encode_windows(events([0, 5 * SECOND, 9 * SECOND]), np.array([1]), np.array([3]))
    assert part.gaps.tolist() == within.gaps.tolist()


def test_users_without_any_interaction_make_empty_windows() -> None:
    windows = encode_windows(events([]), np.zeros(2, np.int64), np.zeros(2, np.int64))
    assert windows.rows.shape == (2, 0)
    assert windows.lengths.tolist() == [0, 0]


def test_unknown_names_become_the_unknown_number() -> None:
    film_shop = declaration.load()
    encoder = FeatureEncoder(film_shop, fit_vocabulary(film_shop, ["film-1"], [{}], []))
    assert encoder.type_numbers(["watch", "another team's"]).tolist() == [1, 0]
    assert encoder.encode_items(["film-1", "film-2", None], [None] * 3).tokens.tolist() == [1, 0, 0]


def test_a_hashed_user_id_is_the_same_in_every_process() -> None:
    with_ids = declaration.parse("user_id_buckets = 100\n[events]\nwatch = {}", "test")
    encoder = FeatureEncoder(with_ids, fit_vocabulary(with_ids, [], [], []))
    assert encoder.encode_profiles(["u1", "u2"], [{}, {}]).tokens.tolist() == [23, 65]
