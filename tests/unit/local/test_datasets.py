"""Readers of real data; the full files are read only where they are at hand."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from kindred.errors import Misconfigured
from kindred.local.dataset import time_us_of
from kindred.local.datasets import READERS, load

DATA = Path(__file__).parents[4] / "shared" / "data"
SIZES = {"ml-100k": (1_682, 943, 100_000), "ml-1m": (3_883, 6_040, 999_611), "deskdrop": (0, 1_895, 72_312)}


def read(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not at hand")
    return load(name, DATA / name)


@pytest.mark.parametrize("name", ["ml-100k", "deskdrop", pytest.param("ml-1m", marks=pytest.mark.slow)])
def test_whole_data_set_in_time_order_with_declared_types_and_attributes(name):
    dataset = read(name)
    assert (len(dataset.items), len(dataset.profiles), len(dataset.interactions)) == SIZES[name]
    times = [event.occurred_at_us for event in dataset.interactions]
    assert times == sorted(times)
    assert {event.type for event in dataset.interactions} == set(dataset.declaration.events)
    assert set().union(*(json.loads(each.attributes) for each in dataset.profiles)) == set(
        dataset.declaration.user
    )
    assert set().union(*(json.loads(each.attributes) for each in dataset.items)) == set(
        dataset.declaration.item
    )


def test_profiles_come_before_their_users_first_event():
    known = set()
    for value in read("ml-100k").in_time_order():
        if hasattr(value, "event_id"):
            assert value.user_id in known
        elif hasattr(value, "user_id"):
            known.add(value.user_id)


@pytest.fixture
def small_ml_1m(tmp_path):
    (tmp_path / "movies.dat").write_text("1::Café Noir (1995)::Drama|Crime\n2::No Year::Comedy\n", "latin-1")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    rows = ["1,2,5,0", "1,1,3,1", "2,1,4,0", "2,2,1,1"]
    text = "user_id,movie_id,rating,pos\n" + "\n".join(rows) + "\n"
    (tmp_path / "ratings_chronological.csv.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_made_up_clock_keeps_each_users_order_and_mixes_users(small_ml_1m):
    events = load("ml-1m", small_ml_1m).interactions
    assert [event.item_id for event in events if event.user_id == "1"] == ["2", "1"]
    assert [event.item_id for event in events if event.user_id == "2"] == ["1", "2"]
    assert sorted(event.user_id for event in events[:2]) == ["1", "2"]


def test_made_up_gaps_do_not_tell_how_many_ratings_are_to_come(small_ml_1m):
    lengths = {"1": 5, "2": 40}
    rows = [f"{user},1,3,{position}" for user, length in lengths.items() for position in range(length)]
    text = "user_id,movie_id,rating,pos\n" + "\n".join(rows) + "\n"
    (small_ml_1m / "ratings_chronological.csv.gz").write_bytes(gzip.compress(text.encode()))
    times_us = {user: [] for user in lengths}
    for event in load("ml-1m", small_ml_1m).interactions:
        times_us[event.user_id].append(event.occurred_at_us)
    assert {b - a for each in times_us.values() for a, b in pairwise(each)} == {6 * 3_600_000_000}
    fifths = [(each[len(each) * 4 // 5 - 1], each[len(each) * 4 // 5]) for each in times_us.values()]
    assert max(fourth for fourth, _ in fifths) < min(last for _, last in fifths), "one moment cuts all alike"


def test_attributes_of_films_and_people(small_ml_1m):
    dataset = load("ml-1m", small_ml_1m)
    film, without_year = dataset.items
    assert film.title == "Café Noir (1995)"
    assert json.loads(film.attributes) == {"genres": ["Drama", "Crime"], "year": 1995}
    assert json.loads(without_year.attributes) == {"genres": ["Comedy"]}
    people = {each.user_id: json.loads(each.attributes) for each in dataset.profiles}
    assert people["1"] == {"age_group": "under 18", "gender": "F", "occupation": "K-12 student"}
    assert people["2"]["age_group"] == "56+"


def test_deskdrop_reads_country_and_device_from_later_visits_too(tmp_path):
    header = "timestamp,eventType,contentId,personId,sessionId,userAgent,userRegion,userCountry\n"
    rows = '20,VIEW,7,1,3,"Mozilla/5.0 (X11, Linux)",SP,BR\n10,COMMENT CREATED,-8,1,3,,,\n'
    (tmp_path / "users_interactions.csv.gz").write_bytes(gzip.compress((header + rows).encode()))
    dataset = load("deskdrop", tmp_path)
    assert [(event.type, event.item_id) for event in dataset.interactions] == [
        ("comment", "-8"),
        ("view", "7"),
    ]
    (profile,) = dataset.profiles
    assert time_us_of(profile) == 10_000_000
    assert json.loads(profile.attributes) == {"country": "BR", "device_type": "desktop"}


@pytest.mark.parametrize("name", READERS)
def test_missing_file_is_named(name, tmp_path):
    with pytest.raises(Misconfigured, match=rf"{tmp_path}/.* cannot be read"):
        load(name, tmp_path)


def test_a_line_that_is_not_as_expected_is_named(small_ml_1m):
    (small_ml_1m / "users.dat").write_text("1::F::1::10::48067\n2::M::old::16::70072\n")
    with pytest.raises(Misconfigured, match=r"users\.dat, line 2 is not as expected"):
        load("ml-1m", small_ml_1m)


def test_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(Misconfigured, match="ml-100k, ml-1m, deskdrop"):
        load("netflix", tmp_path)
