"""The questions other services ask, on a Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from catalogue import (
    DIMENSION,
    FILM_VECTORS,
    MODEL,
    WATCHED_US,
    Shop,
    empty_shop,
    fill,
    film,
    films,
    histories,
    unit,
)
from kindred.client import Answer, KindredClient
from kindred.errors import Misconfigured, UnknownItem, UnknownUser
from kindred.vectors.collections import ensure_collections, point_aliases
from kindred.vectors.query import LEAST_POPULARITY


@pytest.fixture(scope="module")
def shop(qdrant_url: str) -> Iterator[Shop]:
    with empty_shop(qdrant_url) as shop:
        fill(shop)
        yield shop


@pytest.fixture(scope="module")
def kindred(shop: Shop, qdrant_url: str) -> Iterator[KindredClient]:
    with KindredClient(qdrant_url, namespace=shop.names.namespace) as client:
        yield client


@pytest.fixture
def own_shop(qdrant_url: str) -> Iterator[Shop]:
    with empty_shop(qdrant_url) as shop:
        fill(shop)
        yield shop


def ids(answer: Answer) -> list[str]:
    return [match.id for match in answer]


def client_of(shop: Shop, **options: Any) -> KindredClient:
    return KindredClient(namespace=shop.names.namespace, client=shop.client, **options)


def test_recommend_gives_the_nearest_items_without_the_seen_ones(kindred: KindredClient) -> None:
    answer = kindred.recommend("ada", limit=2)
    assert (answer.source, answer.model) == ("personal", MODEL)
    assert ids(answer) == ["3", "5"]
    assert answer.matches[0].payload["title"] == "Fargo"
    assert answer.matches[0].score > answer.matches[1].score


def test_recommend_with_seen_items(kindred: KindredClient) -> None:
    assert ids(kindred.recommend("ada", limit=3, include_seen=True)) == ["1", "film-2", "3"]


@pytest.mark.parametrize("weight", [0.01, 0.3, 2.0, 50.0])
def test_demand_counts_beside_taste(kindred: KindredClient, weight: float) -> None:
    user = unit([[1, 0.1, 0, 0]])[0]
    scores = {
        film.item_id: float(vector @ user) + weight * np.log(film.popularity + LEAST_POPULARITY)
        for film, vector in zip(films(), unit(FILM_VECTORS), strict=True)
    }
    answer = kindred.recommend("ada", limit=5, include_seen=True, popularity_weight=weight)
    assert ids(answer) == sorted(scores, key=lambda item: -scores[item])
    assert [match.score for match in answer] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
    unseen = kindred.recommend("ada", limit=1, filter={"genres": "Crime"}, popularity_weight=weight)
    assert ids(unseen) == ["3"]


def test_an_item_that_is_far_away_can_be_in_demand(own_shop: Shop) -> None:
    """Among more items than are candidates of one kind."""
    many = [film(f"f{n}", "Noir", ["Crime"], 1950, popularity=1.0) for n in range(300)]
    own_shop.index.write_items(MODEL, many, unit([[1, 0, 0, 0]] * 299 + [[-1, 0, 0, 0]]), 2)
    own_shop.index.write_popularity(MODEL, {"f299": 1e6})
    kindred = client_of(own_shop)
    assert ids(kindred.recommend("ada", limit=1, popularity_weight=1.0)) == ["f299"]
    assert ids(kindred.recommend("ada", limit=1, popularity_weight=0.01)) != ["f299"]


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_misconfigured(kindred: KindredClient, weight: float) -> None:
    with pytest.raises(Misconfigured, match="popularity weight"):
        kindred.recommend("ada", popularity_weight=weight)


def test_a_user_without_history_is_recommended_from_the_profile(kindred: KindredClient) -> None:
    answer = kindred.recommend("8", limit=1)
    assert (answer.source, ids(answer)) == ("cold_start", ["4"])


def test_a_user_nobody_knows_gets_the_most_popular(kindred: KindredClient) -> None:
    answer = kindred.recommend("nobody", limit=3)
    assert (answer.source, ids(answer)) == ("popular", ["3", "4", "1"])
    assert [match.score for match in answer] == [9.0, 5.0, 3.0]


def test_the_most_popular_obey_the_same_filter(kindred: KindredClient) -> None:
    assert ids(kindred.recommend("nobody", filter={"genres": "Drama"})) == ["1"]


def test_an_erased_user_gets_the_most_popular(own_shop: Shop) -> None:
    own_shop.index.write_user_tombstones(MODEL, ["ada"], revision=2)
    kindred = client_of(own_shop)
    assert kindred.recommend("ada").source == "popular"
    assert "ada" not in ids(kindred.similar("7"))
    assert "ada" not in ids(kindred.audience("1"))
    with pytest.raises(UnknownUser):
        kindred.similar("ada")


def test_a_removed_item_is_in_no_answer(own_shop: Shop) -> None:
    own_shop.index.write_item_tombstones(MODEL, ["3"], revision=2)
    own_shop.client.set_payload(own_shop.names.items(MODEL), {"popularity": 99.0}, points=[3], wait=True)
    kindred = client_of(own_shop)
    for answer in (kindred.recommend("ada"), kindred.popular(), kindred.similar_items("1")):
        assert "3" not in ids(answer)
    with pytest.raises(UnknownItem):
        kindred.similar_items("3")
    with pytest.raises(UnknownItem):
        kindred.audience("3")


def test_similar_users_are_ordered_and_leave_out_the_user(kindred: KindredClient) -> None:
    answer = kindred.similar("ada")
    assert (answer.source, ids(answer)) == ("similar", ["7", "8"])


def test_nobody_learns_what_others_have_seen(kindred: KindredClient) -> None:
    matches = [*kindred.similar("ada"), *kindred.audience("1")]
    assert all("seen_items" not in match.payload for match in matches)


def test_similar_items_leave_out_the_item(kindred: KindredClient) -> None:
    assert ids(kindred.similar_items("1", limit=2)) == ["film-2", "3"]


def test_audience_keeps_a_user_of_the_same_id_as_the_item(own_shop: Shop) -> None:
    own_shop.index.write_users(
        MODEL, histories(["1"], [1], ["DE"]), unit([[1, 0, 0, 0]]), [[]], 2, WATCHED_US
    )
    assert ids(client_of(own_shop).audience("1")) == ["1", "ada", "7", "8"]


def test_recommend_keeps_an_item_of_the_same_id_as_the_user(own_shop: Shop) -> None:
    own_shop.index.write_users(
        MODEL, histories(["4"], [1], ["DE"]), unit([[0, 0, 1, 0]]), [[]], 2, WATCHED_US
    )
    assert ids(client_of(own_shop).recommend("4"))[0] == "4"


def test_audience_takes_filters_on_users(kindred: KindredClient) -> None:
    assert ids(kindred.audience("1", filter={"country": "DE"})) == ["ada", "8"]
    assert ids(kindred.audience("1", filter={"cold_start": False})) == ["ada", "7"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"genres": "Comedy"}, {"3", "4"}),
        ({"genres": ["Drama", "Comedy"]}, {"1", "3", "4"}),
        ({"year": 1995}, {"1", "film-2"}),
        ({"year": [1995, 2001]}, {"1", "film-2", "4"}),
        ({"year": {"gte": 1996}}, {"3", "4"}),
        ({"year": {"gt": 1995, "lt": 2001}}, {"3"}),
        ({"available": True}, {"1", "film-2", "3"}),
        ({"available": False}, {"4"}),
        ({"genres": "Crime", "year": {"lte": 1995}}, {"1", "film-2"}),
        ({"genres": "Western"}, set()),
    ],
)
def test_filters(kindred: KindredClient, wanted: dict[str, Any], expected: set[str]) -> None:
    assert set(ids(kindred.popular(filter=wanted))) == expected
    assert set(ids(kindred.recommend("8", filter=wanted))) == expected


def test_a_range_of_times(kindred: KindredClient) -> None:
    assert ids(kindred.audience("1", filter={"last_event_at": {"gte": "2026-01-01"}})) == ["ada", "7"]
    assert ids(kindred.audience("1", filter={"last_event_at": {"gt": "2026-01-01T00:00:00Z"}})) == []


def test_an_item_nobody_knows(kindred: KindredClient) -> None:
    with pytest.raises(UnknownItem, match="nothing"):
        kindred.similar_items("nothing")
    with pytest.raises(UnknownItem, match="nothing"):
        kindred.audience("nothing")


def test_a_limit_of_zero_is_misconfigured(kindred: KindredClient) -> None:
    with pytest.raises(Misconfigured, match="limit"):
        kindred.recommend("ada", limit=0)


def test_a_promotion_is_noticed(own_shop: Shop) -> None:
    kindred = client_of(own_shop, alias_seconds=0.0)
    assert kindred.popular().model == MODEL
    promote(own_shop, "m2")
    assert kindred.popular().model == "m2"


def test_a_retired_model_is_noticed_at_once(own_shop: Shop) -> None:
    kindred = client_of(own_shop, alias_seconds=600.0)
    assert kindred.recommend("ada").model == MODEL
    promote(own_shop, "m2")
    assert kindred.recommend("ada").model == MODEL
    own_shop.client.delete_collection(own_shop.names.users(MODEL))
    own_shop.client.delete_collection(own_shop.names.items(MODEL))
    assert kindred.recommend("ada").model == "m2"


def test_an_empty_namespace_says_that_no_model_is_live(qdrant_url: str) -> None:
    with (
        KindredClient(qdrant_url, namespace="nobody_lives_here") as kindred,
        pytest.raises(Misconfigured, match="no model is live"),
    ):
        kindred.popular()


def test_strict_mode_refuses_none_of_these_queries(own_shop: Shop) -> None:
    strict = models.StrictModeConfig(enabled=True, unindexed_filtering_retrieve=False)
    for collection in (own_shop.names.users(MODEL), own_shop.names.items(MODEL)):
        own_shop.client.update_collection(collection, strict_mode_config=strict)
    kindred = client_of(own_shop)
    wanted = {"genres": ["Crime", "Drama"], "year": 1995, "available": True, "price": {"lt": 5}}
    kindred.recommend("ada", filter=wanted)
    kindred.popular(filter=wanted)
    kindred.audience("1", filter={"country": "DE", "last_event_at": {"gte": "2026-01-01"}})
    with pytest.raises(Misconfigured, match="Index required"):
        kindred.popular(filter={"title": "Heat"})


def promote(shop: Shop, model: str) -> None:
    ensure_collections(shop.client, shop.names, model, DIMENSION, shop.declaration)
    point_aliases(shop.client, shop.names, model)
