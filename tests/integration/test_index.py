"""What the writer promises, on a Qdrant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from qdrant_client import models

from catalogue import DIMENSION, MODEL, WATCHED_US, Shop, empty_shop, fill, film, films, histories, unit
from http_faults import AnswersSlowly, http_faults
from kindred.errors import CollectionGone, Misconfigured, ModelMismatch, Outage
from kindred.settings import QdrantSettings
from kindred.vectors.collections import CollectionNames, ensure_collections, live_model, point_aliases
from kindred.vectors.connection import connect
from kindred.vectors.ids import point_id
from kindred.vectors.index import Index
from kindred.vectors.requests import MOST_OPERATIONS


@pytest.fixture
def shop(qdrant_url: str) -> Iterator[Shop]:
    with empty_shop(qdrant_url) as shop:
        yield shop


@pytest.fixture(scope="module")
def shared_shop(qdrant_url: str) -> Iterator[Shop]:
    with empty_shop(qdrant_url) as shop:
        yield shop


def write_user(shop: Shop, user_id: str, vector: Sequence[float], revision: int) -> None:
    shop.index.write_users(
        MODEL, histories([user_id], [1], ["DE"]), unit([vector]), [[1]], revision, WATCHED_US
    )


def test_payload_of_a_user_is_the_published_one(shop: Shop) -> None:
    fill(shop, revision=5)
    assert shop.payload(shop.names.users(MODEL), 8) == {
        "user_id": "8",
        "revision": 5,
        "model": MODEL,
        "history_length": 0,
        "last_event_at": None,
        "embedded_at": "2026-01-01T00:00:00+00:00",
        "cold_start": True,
        "seen_items": [],
        "country": "DE",
    }


def test_payload_of_an_item_is_the_published_one(shop: Shop) -> None:
    fill(shop, revision=5)
    assert shop.payload(shop.names.items(MODEL), 4) == {
        "item_id": "4",
        "revision": 5,
        "model": MODEL,
        "title": "Amélie",
        "popularity": 5.0,
        "genres": ["Comedy"],
        "year": 2001,
        "available": False,
        "price": None,
        "rights_from": None,
        "rights_until": None,
    }


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    revisions=st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=6),
    user=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
)
def test_the_highest_revision_wins_in_any_order(shared_shop: Shop, revisions: list[int], user: str) -> None:
    for revision in revisions:
        write_user(shared_shop, user, [1, revision % 1000, 0, 0], revision)
    payload = shared_shop.payload(shared_shop.names.users(MODEL), point_id(user))
    assert payload is not None
    stored = shared_shop.vector(shared_shop.names.users(MODEL), point_id(user))
    assert payload["revision"] >= max(revisions)
    if payload["revision"] == max(revisions):
        np.testing.assert_allclose(stored, unit([[1, max(revisions) % 1000, 0, 0]])[0], atol=1e-6)


def test_an_equal_revision_changes_nothing(shop: Shop) -> None:
    write_user(shop, "7", [1, 0, 0, 0], revision=5)
    write_user(shop, "7", [0, 1, 0, 0], revision=5)
    assert shop.vector(shop.names.users(MODEL), 7) == [1, 0, 0, 0]


def test_the_last_of_equal_ids_wins(shop: Shop) -> None:
    shop.index.write_users(
        MODEL,
        histories(["7", "7"], [1, 2], ["DE", "AT"]),
        unit([[1, 0, 0, 0], [0, 1, 0, 0]]),
        [[1], [2]],
        5,
        WATCHED_US,
    )
    payload = shop.payload(shop.names.users(MODEL), 7)
    assert payload is not None
    assert (payload["seen_items"], payload["country"]) == ([2], "AT")
    assert shop.vector(shop.names.users(MODEL), 7) == [0, 1, 0, 0]


def test_a_tombstone_replaces_vector_and_payload_and_stays(shop: Shop) -> None:
    write_user(shop, "ada", [1, 0, 0, 0], revision=5)
    shop.index.write_user_tombstones(MODEL, ["ada"], revision=7)
    write_user(shop, "ada", [1, 0, 0, 0], revision=6)
    users = shop.names.users(MODEL)
    assert shop.payload(users, point_id("ada")) == {"user_id": "ada", "revision": 7, "erased": True}
    assert not shop.vector(users, point_id("ada"))


def test_a_tombstone_bars_a_user_who_was_never_written(shop: Shop) -> None:
    shop.index.write_user_tombstones(MODEL, ["ada"], revision=7)
    write_user(shop, "ada", [1, 0, 0, 0], revision=6)
    assert not shop.vector(shop.names.users(MODEL), point_id("ada"))


def test_an_older_tombstone_erases_nobody(shop: Shop) -> None:
    write_user(shop, "ada", [1, 0, 0, 0], revision=8)
    shop.index.write_user_tombstones(MODEL, ["ada"], revision=7)
    assert shop.vector(shop.names.users(MODEL), point_id("ada")) == [1, 0, 0, 0]


def test_a_higher_revision_reopens_an_erased_id(shop: Shop) -> None:
    shop.index.write_user_tombstones(MODEL, ["ada"], revision=7)
    write_user(shop, "ada", [0, 1, 0, 0], revision=8)
    payload = shop.payload(shop.names.users(MODEL), point_id("ada"))
    assert payload is not None
    assert "erased" not in payload


def test_requests_are_cut_by_bytes_and_nothing_is_lost(shop: Shop) -> None:
    small = Index(shop.client, shop.names, shop.declaration, max_request_bytes=2_000)
    user_ids = [str(number) for number in range(100)]
    small.write_users(
        MODEL,
        histories(user_ids, [1] * 100, ["DE"] * 100),
        unit([[1, number, 0, 0] for number in range(100)]),
        [[1]] * 100,
        5,
        WATCHED_US,
    )
    assert shop.client.count(shop.names.users(MODEL)).count == 100
    assert shop.payload(shop.names.users(MODEL), 99) is not None


def test_a_write_can_be_ended_between_two_requests(shop: Shop) -> None:
    small = Index(shop.client, shop.names, shop.declaration, max_request_bytes=2_000)
    user_ids = [str(number) for number in range(100)]
    vectors = unit([[1, number, 0, 0] for number in range(100)])

    def write() -> None:
        small.write_users(
            MODEL, histories(user_ids, [1] * 100, ["DE"] * 100), vectors, [[1]] * 100, 5, WATCHED_US
        )

    two = [None, None]
    with pytest.raises(IndexError), small.checked(two.pop):
        write()
    assert 0 < shop.client.count(shop.names.users(MODEL)).count < 100
    write()
    assert shop.client.count(shop.names.users(MODEL)).count == 100


def test_a_server_that_is_too_slow_for_a_batch_gets_it_in_smaller_parts(shop: Shop, qdrant_url: str) -> None:
    number = 2_000
    with http_faults(qdrant_url) as proxy, closing(connect(impatient(proxy.url))) as client:
        proxy.fail(AnswersSlowly(bytes_per_second=200_000))
        index = Index(client, shop.names, shop.declaration, max_request_bytes=500_000)
        for attempt in itertools.count(1):
            with suppress(Outage):
                index.write_users(
                    MODEL,
                    histories([str(each) for each in range(number)], [1] * number, ["DE"] * number),
                    unit([[1, each, 0, 0] for each in range(number)]),
                    [[1]] * number,
                    5,
                    WATCHED_US,
                )
                break
            assert attempt < 6
    assert attempt > 1
    assert shop.client.count(shop.names.users(MODEL)).count == number


def impatient(url: str) -> QdrantSettings:
    return QdrantSettings(url=url, timeout_seconds=1.0)


def test_payload_fields_are_written_without_touching_the_vector(shop: Shop) -> None:
    fill(shop, revision=5)
    items = shop.names.items(MODEL)
    before = shop.vector(items, 1)
    shop.index.write_item_payloads(MODEL, [film("1", "Renamed", ["War"], 1995, 0.0, price=4.5)], revision=6)
    payload = shop.payload(items, 1)
    assert payload is not None
    assert (payload["price"], payload["revision"]) == (4.5, 6)
    assert (payload["title"], payload["genres"], payload["popularity"]) == ("Heat", ["Crime", "Drama"], 3.0)
    assert shop.vector(items, 1) == before


def test_older_payload_fields_never_win(shop: Shop) -> None:
    fill(shop, revision=5)
    items = shop.names.items(MODEL)
    shop.index.write_item_payloads(MODEL, [film("1", "Heat", [], 1995, 0.0, available=False)], revision=5)
    payload = shop.payload(items, 1)
    assert payload is not None
    assert payload["available"] is True


def test_a_payload_field_that_is_gone_becomes_null(shop: Shop) -> None:
    shop.index.write_items(
        MODEL, [film("1", "Heat", [], 1995, 0.0, price=4.5)], unit([[1, 0, 0, 0]]), revision=5
    )
    shop.index.write_item_payloads(MODEL, [film("1", "Heat", [], 1995, 0.0)], revision=6)
    payload = shop.payload(shop.names.items(MODEL), 1)
    assert payload is not None
    assert payload["price"] is None


def test_neither_payload_fields_nor_popularity_touch_a_tombstone(shop: Shop) -> None:
    shop.index.write_item_tombstones(MODEL, ["1"], revision=5)
    shop.index.write_item_payloads(MODEL, [film("1", "Heat", [], 1995, 0.0)], revision=6)
    shop.index.write_popularity(MODEL, {"1": 3.0})
    assert shop.payload(shop.names.items(MODEL), 1) == {"item_id": "1", "revision": 5, "erased": True}


def test_payload_fields_and_popularity_create_no_point(shop: Shop) -> None:
    shop.index.write_item_payloads(MODEL, [film("1", "Heat", [], 1995, 0.0)], revision=6)
    shop.index.write_popularity(MODEL, {"1": 3.0})
    assert shop.client.count(shop.names.items(MODEL)).count == 0


def test_popularity_is_written_whatever_the_revision(shop: Shop) -> None:
    fill(shop, revision=5)
    shop.index.write_popularity(MODEL, {"1": 7.25, "film-2": 7.25, "3": 0.0})
    items = shop.names.items(MODEL)
    written = [(shop.payload(items, point_id(item)) or {})["popularity"] for item in ["1", "film-2", "3"]]
    assert written == [7.25, 7.25, 0.0]


def test_counts_have_three_digits_and_more_than_one_request_takes_all_arrive(shop: Shop) -> None:
    number = 2 * MOST_OPERATIONS + 10
    films = [film(str(each), "Heat", [], 1995, 0.0) for each in range(number)]
    shop.index.write_items(MODEL, films, unit([[1, 0, 0, 0]] * number), revision=5)
    shop.index.write_popularity(MODEL, {str(each): 0.001 * 1.01**each for each in range(number)})
    points = shop.client.retrieve(shop.names.items(MODEL), range(number), with_payload=["popularity"])
    written = {point.id: (point.payload or {})["popularity"] for point in points}
    assert len({*written.values()}) > 2 * MOST_OPERATIONS
    assert written == {each: float(f"{0.001 * 1.01**each:.3g}") for each in range(number)}


def test_highest_revision_looks_at_users_items_and_tombstones(shop: Shop) -> None:
    assert shop.index.highest_revision(MODEL) == 0
    fill(shop, revision=5)
    assert shop.index.highest_revision(MODEL) == 5
    shop.index.write_item_tombstones(MODEL, ["gone"], revision=2**53 - 1)
    assert shop.index.highest_revision(MODEL) == 2**53 - 1


@pytest.mark.parametrize("broken", [[0, 0, 0, 0], [np.nan, 1, 0, 0], [np.inf, 1, 0, 0]])
def test_a_broken_vector_stops_the_write_before_anything_is_written(shop: Shop, broken: list[float]) -> None:
    vectors = np.array([[1, 0, 0, 0], broken], dtype=np.float32)
    with pytest.raises(ModelMismatch, match="'8'"):
        shop.index.write_users(
            MODEL, histories(["7", "8"], [1, 1], ["DE", "DE"]), vectors, [[], []], 5, WATCHED_US
        )
    assert shop.client.count(shop.names.users(MODEL)).count == 0


def test_a_vector_of_another_width_is_misconfigured(shop: Shop) -> None:
    with pytest.raises(Misconfigured, match="dim"):
        shop.index.write_items(MODEL, films()[:1], unit([[1, 0]]), revision=5)


def test_a_collection_that_is_gone(shop: Shop) -> None:
    shop.client.delete_collection(shop.names.users(MODEL))
    with pytest.raises(CollectionGone):
        shop.index.write_user_tombstones(MODEL, ["7"], revision=5)
    with pytest.raises(CollectionGone):
        shop.index.highest_revision(MODEL)


def test_collections_are_made_once_and_checked_afterwards(shop: Shop) -> None:
    ensure_collections(shop.client, shop.names, MODEL, DIMENSION, shop.declaration)
    with pytest.raises(Misconfigured, match="width 4"):
        ensure_collections(shop.client, shop.names, MODEL, 8, shop.declaration)


def test_every_filtered_field_has_an_index_of_its_kind(shop: Shop) -> None:
    schema = shop.client.get_collection(shop.names.items(MODEL)).payload_schema
    assert {field: index.data_type.value for field, index in schema.items()} == {
        "genres": "keyword",
        "actors": "keyword",
        "year": "float",
        "available": "bool",
        "price": "float",
        "rights_from": "datetime",
        "rights_until": "datetime",
        "revision": "integer",
        "erased": "bool",
        "popularity": "float",
    }


def test_collections_of_named_vectors_are_not_ours(shop: Shop) -> None:
    named = {"image": models.VectorParams(size=4, distance=models.Distance.DOT)}
    shop.client.create_collection(shop.names.users("other"), named)
    with pytest.raises(Misconfigured, match="named vectors"):
        ensure_collections(shop.client, shop.names, "other", DIMENSION, shop.declaration)


def test_aliases_move_together_and_name_the_live_model(shop: Shop) -> None:
    assert live_model(shop.client, shop.names) == MODEL
    ensure_collections(shop.client, shop.names, "m2", DIMENSION, shop.declaration)
    point_aliases(shop.client, shop.names, "m2")
    assert live_model(shop.client, shop.names) == "m2"


def test_no_model_is_live_in_an_empty_namespace(shop: Shop) -> None:
    assert live_model(shop.client, CollectionNames(f"{shop.names.namespace}_other")) is None


def test_aliases_of_two_models_are_reported(shop: Shop) -> None:
    ensure_collections(shop.client, shop.names, "m2", DIMENSION, shop.declaration)
    shop.client.update_collection_aliases(
        [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(
                    alias_name=shop.names.users_alias, collection_name=shop.names.users("m2")
                )
            )
        ]
    )
    with pytest.raises(Misconfigured, match="promote"):
        live_model(shop.client, shop.names)


def test_namespaces_do_not_mix(qdrant_url: str) -> None:
    with empty_shop(qdrant_url) as one, empty_shop(qdrant_url) as other:
        write_user(one, "7", [1, 0, 0, 0], revision=5)
        assert other.payload(other.names.users(MODEL), 7) is None
        assert other.index.highest_revision(MODEL) == 0


def test_strict_mode_refuses_none_of_these_writes(shop: Shop) -> None:
    strict = models.StrictModeConfig(
        enabled=True, unindexed_filtering_retrieve=False, unindexed_filtering_update=False
    )
    for collection in (shop.names.users(MODEL), shop.names.items(MODEL)):
        shop.client.update_collection(collection, strict_mode_config=strict)
    fill(shop, revision=5)
    shop.index.write_item_payloads(MODEL, films(), revision=6)
    shop.index.write_popularity(MODEL, {"1": 2.0})
    assert shop.index.highest_revision(MODEL) == 6


def test_an_unreachable_server_is_an_outage() -> None:
    client = connect(QdrantSettings(url="http://127.0.0.1:1", timeout_seconds=1))
    with pytest.raises(Outage, match="qdrant"):
        live_model(client, CollectionNames())
