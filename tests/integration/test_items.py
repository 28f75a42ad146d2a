"""Items in Postgres: descriptions, removals, what must be embedded, popularity, sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from histories import (
    FILM_SHOP,
    T0_US,
    apply,
    batch,
    describe,
    migrated_database,
    profile,
    remove,
    rows,
    value,
    watch,
)
from kindred.events.schema import Decoded
from kindred.history import popularity, sweeps
from kindred.history.connection import Database
from kindred.history.store import Affected, HistoryStore
from kindred.history.window import Item

HALF_LIFE_DAYS = 14.0
NOW = datetime.fromtimestamp(T0_US / 1e6, UTC)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture
def store(database: Database) -> HistoryStore:
    return HistoryStore(database, FILM_SHOP)


def ids(items: Any) -> list[str]:
    return sorted(item.item_id for item in items)


def written(affected: Affected) -> tuple[list[str], list[str], list[str]]:
    """Ids to embed, to write the payload of, to bury."""
    return ids(affected.items), ids(affected.payload_items), ids(affected.removed_items)


def swept(database: Database) -> list[str]:
    return [
        name
        for (name,) in rows(database, "SELECT item_id FROM item_sweep JOIN item ON number = item ORDER BY 1")
    ]


def waiting_now(store: HistoryStore) -> list[str]:
    with store._database.transaction() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM pending_sync")]


def stored(store: HistoryStore, item_id: str) -> Item:
    (found,) = [item for item in store.load_catalogue() if item.item_id == item_id]
    return found


def test_an_item_seen_before_it_is_described_is_embedded_as_unknown(store: HistoryStore) -> None:
    affected = apply(store, watch("ann", "film", 1))
    assert written(affected) == (["film"], [], [])
    assert affected.items[0].attributes is None
    assert written(apply(store, watch("bob", "film", 2))) == ([], [], [])


def test_an_item_seen_first_waits_until_its_point_is_written(store: HistoryStore) -> None:
    """A crash before Qdrant: the interaction comes again, but the item is known by then."""
    affected = apply(store, watch("ann", "film", 1))
    restarted = HistoryStore(store._database, FILM_SHOP)
    restarted.load_catalogue()
    assert apply(restarted, watch("ann", "film", 1)).items == []
    waiting = restarted.take_pending(10)
    assert waiting == affected.pending
    assert ids(restarted.apply(Decoded(), pending=waiting).items) == ["film"]
    store.finish_pending(affected.pending)
    assert waiting_now(store) == []


def test_a_described_item_waits_for_nobody(store: HistoryStore) -> None:
    assert len(apply(store, describe("film", 1, genres=["Drama"]), watch("ann", "film", 1)).pending) == 0


def test_numbers_are_small_and_stay(store: HistoryStore) -> None:
    apply(store, watch("ann", "b", 1), watch("ann", "a", 1))
    before = {item.item_id: item.number for item in store.load_catalogue()}
    apply(store, describe("a", 1, year=1999), remove("b", 2))
    assert {item.item_id: item.number for item in store.load_catalogue()} == before == {"a": 1, "b": 2}


def test_a_later_description_wins_whatever_the_order(store: HistoryStore) -> None:
    apply(store, describe("film", 5, "New", year=2))
    late = apply(store, describe("film", 3, "Old", year=1))
    assert written(late) == (["film"], [], [])  # written again: that repairs a crash
    assert stored(store, "film").title == "New"


def test_of_two_descriptions_of_one_time_the_higher_digest_wins(store: HistoryStore) -> None:
    both = sorted((describe("film", 5, title) for title in "xyz"), key=lambda each: each.digest)
    apply(store, both[2])
    apply(store, both[0], both[1])
    assert stored(store, "film").title == both[2].title
    apply(store, describe("other", 1))
    apply(store, *reversed(both))
    assert stored(store, "film").title == both[2].title


def test_a_description_from_before_1970_is_a_description(store: HistoryStore) -> None:
    apply(store, describe("film", -2_000_000_000, "Silent", year=1927))
    assert stored(store, "film").title == "Silent"


def test_removed_and_described_again(store: HistoryStore) -> None:
    apply(store, describe("film", 1, year=1))
    assert written(apply(store, remove("film", 5))) == ([], [], ["film"])
    assert written(apply(store, describe("film", 4, year=2))) == ([], [], ["film"])
    assert written(apply(store, describe("film", 6, year=2))) == (["film"], [], [])
    assert written(apply(store, remove("film", 5))) == (["film"], [], [])
    assert not stored(store, "film").removed


def test_removing_an_item_nobody_knows_is_remembered(store: HistoryStore) -> None:
    assert written(apply(store, remove("film", 5))) == ([], [], ["film"])
    assert written(apply(store, describe("film", 4))) == ([], [], ["film"])


def test_a_change_of_payload_fields_alone_embeds_nothing(database: Database, store: HistoryStore) -> None:
    apply(store, describe("film", 1, "Film", year=1, available=True))
    affected = apply(store, describe("film", 2, "Film", year=1, available=False))
    assert written(affected) == ([], ["film"], [])
    assert affected.payload_items[0].attributes == {"year": 1, "available": False}
    assert swept(database) == []


def test_a_new_title_is_written_with_the_vector_but_sweeps_nobody(
    database: Database, store: HistoryStore
) -> None:
    apply(store, describe("film", 1, "Flim", year=1))
    assert written(apply(store, describe("film", 2, "Film", year=1))) == (["film"], [], [])
    assert swept(database) == []


def test_two_descriptions_in_one_batch_are_never_payload_only(store: HistoryStore) -> None:
    """The first may have been committed before a crash that kept its vector from Qdrant."""
    first = describe("film", 1, "Film", year=1, available=True)
    apply(store, first)
    affected = apply(store, first, describe("film", 2, "Film", year=1, available=False))
    assert written(affected) == (["film"], [], [])


def test_an_item_whose_whole_write_is_pending_is_never_payload_only(
    database: Database, store: HistoryStore
) -> None:
    """Another worker may be writing its vector at a lower revision, which the payload's would fence out."""
    apply(store, describe("film", 1, "Film", year=1, available=True))
    with database.transaction() as connection:
        connection.execute("INSERT INTO pending_sync (kind, id) VALUES ('item', 'film')")
    affected = apply(store, describe("film", 2, "Film", year=1, available=False))
    assert written(affected) == (["film"], [], [])


def test_a_sweep_is_asked_for_when_what_towers_read_changes(database: Database, store: HistoryStore) -> None:
    apply(store, describe("new", 1, year=1), watch("ann", "seen", 1), describe("same", 1, year=1))
    assert swept(database) == []  # nobody's window can hold an item that this batch made
    apply(
        store, describe("new", 2, year=2), describe("seen", 1, year=1), describe("same", 2, year=1, price=3)
    )
    assert swept(database) == ["new", "seen"]


def test_removal_and_return_are_swept_for_towers_read_a_removed_item_as_unknown(
    database: Database, store: HistoryStore
) -> None:
    apply(store, describe("film", 1, year=1))
    apply(store, remove("film", 2))
    assert swept(database) == ["film"]
    with database.transaction() as connection:
        connection.execute("DELETE FROM item_sweep")
    apply(store, describe("film", 3, year=1))
    assert swept(database) == ["film"]


def run_sweep(database: Database, slice_users: int = 2) -> list[str]:
    sweep, age_seconds = sweeps.begin(database)
    assert sweep is not None
    assert age_seconds >= 0
    while not sweeps.advance(database, sweep, slice_users):
        pass
    return [name for (name,) in rows(database, "SELECT id FROM pending_sync WHERE kind = 'user' ORDER BY 1")]


def test_a_sweep_finds_the_holders_and_only_them(database: Database, store: HistoryStore) -> None:
    apply(store, describe("film", 1, year=1), describe("other", 1, year=1))
    holders = [watch(user, "film", 1) for user in ("b", "d", "É", "f")]
    apply(store, *holders, *(watch(user, "other", 1) for user in "abcg"), profile("h", 1))
    apply(store, describe("film", 2, year=2))
    assert run_sweep(database) == ["b", "d", "f", "É"]
    assert sweeps.begin(database) == (None, 0.0)


def test_an_item_that_changes_while_swept_is_swept_again(database: Database, store: HistoryStore) -> None:
    apply(store, watch("ann", "film", 1))
    apply(store, describe("film", 1, year=1))
    sweep, _ = sweeps.begin(database)
    assert sweep is not None
    apply(store, describe("film", 2, year=2))
    assert sweeps.advance(database, sweep, 10)
    assert swept(database) == ["film"]
    assert run_sweep(database) == ["ann"]


def test_a_user_asked_for_again_stays_pending(database: Database, store: HistoryStore) -> None:
    written = apply(store, watch("ann", "film", 1))
    store.finish_pending(written.pending)
    store.request_again(written)
    read = store.take_pending(10)
    store.request_again(written)
    store.finish_pending(read)
    again = store.take_pending(10)
    assert again.of_kind("user") == ["ann"]
    store.finish_pending(again)
    assert waiting_now(store) == []


def test_a_row_that_was_taken_is_nobody_elses_for_a_minute(database: Database, store: HistoryStore) -> None:
    store.request_again(apply(store, *(watch(f"u{number}", "film", 1) for number in range(5))))
    first, second = store.take_pending(4), store.take_pending(4)
    assert sorted([*first.ids, *second.ids]) == ["film", "u0", "u1", "u2", "u3", "u4"]
    assert store.take_pending(4).ids == ()
    with database.transaction() as connection:
        connection.execute("UPDATE pending_sync SET taken_until = taken_until - interval '1 minute'")
    assert len(store.take_pending(10)) == 6


def test_two_workers_never_wait_for_each_others_rows(database: Database, store: HistoryStore) -> None:
    store.request_again(apply(store, watch("ann", "film", 1), watch("bob", "film", 1)))
    with database.transaction() as connection:
        connection.execute("SELECT FROM pending_sync WHERE id <> 'bob' FOR UPDATE")
        assert store.take_pending(10).ids == ("bob",)


def test_popularity_is_a_count_that_halves_with_age(database: Database, store: HistoryStore) -> None:
    days = [("a", 0), ("a", -14), ("a", -28), ("b", -7), ("c", -1), ("a", 0)]
    for number, (film, day) in enumerate(days):
        apply(store, watch("fan", film, day * 86_400, f"e{number}"))
    apply(
        store, watch("fan", "a", 0, "e0"), watch("fan", "c", 0, "viewed", "view")
    )  # a duplicate, no positive
    expected = {"a": 1 + 0.5 + 0.25 + 1, "b": 0.5**0.5, "c": 0.5 ** (1 / 14)}
    assert popularity.fold(database, NOW, HALF_LIFE_DAYS) == pytest.approx(expected)
    assert popularity.fold(database, NOW, HALF_LIFE_DAYS) == {}

    first, first_slice = popularity.slice_after(database, 0, 2, NOW, HALF_LIFE_DAYS)
    last, last_slice = popularity.slice_after(database, first, 2, NOW, HALF_LIFE_DAYS)
    assert (first, last) == (2, 0)
    assert first_slice | last_slice == pytest.approx(expected)


def test_popularity_of_more_batches_than_a_slice_is_added_up(
    database: Database, store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(popularity, "ROWS_AT_ONCE", 2)
    for at in range(5):
        apply(store, watch("u", "much taken", at))
    assert popularity.fold(database, NOW, HALF_LIFE_DAYS) == pytest.approx({"much taken": 5}, rel=1e-3)
    assert value(database, "SELECT count(*) FROM popularity_delta") == 0


def test_popularity_leaves_the_room_as_of_now(database: Database, store: HistoryStore) -> None:
    now_us = datetime.now(UTC).timestamp() * 1e6
    apply(store, watch("fan", "film", (now_us - T0_US) / 1e6))
    popularity.fold(database, datetime.now(UTC), HALF_LIFE_DAYS)
    assert stored(store, "film").popularity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("at_seconds", [-60 * 365 * 86_400, 200 * 365 * 86_400])
def test_no_age_is_too_great_for_a_short_half_life(database: Database, at_seconds: int) -> None:
    store = HistoryStore(database, FILM_SHOP, popularity_half_life_days=0.5)
    assert apply(store, watch("fan", "film", at_seconds)).fresh == 1
    (count,) = popularity.fold(database, NOW, 0.5).values()
    assert count >= 0


def test_a_batch_of_nothing_but_removals_and_descriptions(store: HistoryStore) -> None:
    affected = store.apply(batch(describe("a", 1), remove("b", 1)))
    assert (affected.fresh, len(affected.histories), written(affected)) == (0, 0, (["a"], [], ["b"]))


def test_as_many_items_are_known_as_were_named(database: Database, store: HistoryStore) -> None:
    apply(store, *(watch("ann", f"film {number}", number) for number in range(300)))
    assert value(database, "SELECT count(DISTINCT number) FROM item") == 300
    assert len(store.catalogue.by_id) == 300
