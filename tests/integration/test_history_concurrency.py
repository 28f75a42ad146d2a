"""Two workers at once, as a zombie and its successor are: rules 1, 3 and 4."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from histories import FILM_SHOP, apply, batch, describe, migrated_database, rows, sent, value, watch
from kindred.history import popularity
from kindred.history.connection import Database
from kindred.history.store import Affected, HistoryStore

ROUNDS = 60


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture
def workers(database: Database) -> tuple[HistoryStore, HistoryStore]:
    return HistoryStore(database, FILM_SHOP), HistoryStore(database, FILM_SHOP)


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """Start them at one moment; their results, or the first error."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result(timeout=30) for future in [pool.submit(run, task) for task in tasks]]


def test_two_writers_on_the_same_new_users_lose_no_event(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    first, second = workers
    for number in range(ROUNDS):
        users = [f"new-{number}-{user}" for user in range(4)]
        mine = [watch(user, "a", 1) for user in users]
        yours = [watch(user, "b", 2) for user in reversed(users)]
        together(lambda: apply(first, *mine), lambda: apply(second, *yours))  # noqa: B023
    short = rows(database, "SELECT user_id FROM app_user WHERE user_id ~ '^new-' AND history_length <> 2")
    assert short == []
    logged = value(database, "SELECT count(*) FROM interaction WHERE user_id ~ '^new-'")
    assert logged == ROUNDS * 4 * 2


def test_the_same_batch_from_two_writers_counts_once(workers: tuple[HistoryStore, HistoryStore]) -> None:
    first, second = workers
    for number in range(ROUNDS // 3):
        events = [watch(f"twice-{number}-{user}", f"film {user}", 1) for user in range(10)]
        both: list[Affected] = together(lambda: apply(first, *events), lambda: apply(second, *events))  # noqa: B023
        assert sum(each.fresh for each in both) == 10
        for each, store in zip(both, workers, strict=True):
            assert all(len(kept) == 1 for kept in sent(each.histories, store).values())


@contextmanager
def held(database: Database, query: str) -> Iterator[None]:
    """Rows locked for the length of the block."""
    with database.transaction() as connection:
        connection.execute(f"{query} FOR UPDATE")
        yield


def test_a_revision_is_drawn_after_the_locks(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    apply(workers[0], watch("waiting", "a", 1))
    with ThreadPoolExecutor(1) as pool:
        with held(database, "SELECT FROM app_user WHERE user_id = 'waiting'"):
            waits = pool.submit(apply, workers[0], watch("waiting", "a", 2))
            time.sleep(0.2)
            passes = apply(workers[1], watch("passing", "a", 2))
        assert waits.result(timeout=10).revision > passes.revision


def test_items_change_in_the_order_of_their_revisions(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    """Else a cursor that has seen the higher one would never see the lower."""
    apply(workers[0], describe("slow", 1), describe("fast", 1))
    apply(workers[1])
    with ThreadPoolExecutor(2) as pool:
        with held(database, "SELECT FROM item WHERE item_id = 'slow'"):
            first = pool.submit(apply, workers[0], describe("slow", 2, year=2))
            time.sleep(0.2)
            second = pool.submit(apply, workers[1], describe("fast", 2, year=2))
            time.sleep(0.2)
            assert not second.done()
        assert first.result(timeout=10).revision < second.result(timeout=10).revision
    assert {item.item_id for item in second.result().changed_items} == {"slow", "fast"}


def test_a_pending_item_is_read_after_whoever_is_changing_it(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    """Else the old content would be written at the higher revision, and the new one fenced out for good."""
    written = apply(workers[0], describe("pending", 1, year=1))
    workers[0].request_again(written)
    pending = workers[1].take_pending(100)
    with ThreadPoolExecutor(2) as pool:
        with held(database, "SELECT FROM item WHERE item_id = 'pending'"):
            changes = pool.submit(apply, workers[0], describe("pending", 2, year=2))
            time.sleep(0.2)
            drains = pool.submit(workers[1].apply, batch(), pending=pending)
            time.sleep(0.2)
        drained = drains.result(timeout=10)
        assert changes.result(timeout=10).revision < drained.revision
    assert [item.attributes for item in drained.items if item.item_id == "pending"] == [{"year": 2}]


def test_batches_that_name_the_same_users_in_any_order_never_deadlock(database: Database) -> None:
    """Four of them: whoever commits lets the others loose at one moment."""
    users = [f"crowd-{user}" for user in range(400)]

    def write(source: int) -> None:
        store, mine = HistoryStore(database, FILM_SHOP), random.Random(source).sample(users, len(users))
        for number in range(8):
            apply(store, *(watch(user, "a", number, f"{source}{number}") for user in mine))

    together(*(partial(write, source) for source in range(4)))


def test_a_higher_revision_has_seen_every_event_of_a_lower_one(
    workers: tuple[HistoryStore, HistoryStore],
) -> None:
    users = [f"overlap-{user}" for user in range(6)]
    outcomes: list[Affected] = []

    def write(store: HistoryStore, mine: list[str], source: str) -> Callable[[], None]:
        def run() -> None:
            for number in range(ROUNDS):
                outcomes.append(apply(store, *(watch(u, "a", number, f"{source}{number}") for u in mine)))

        return run

    together(write(workers[0], users[:4], "x"), write(workers[1], users[:1:-1], "y"))

    outcomes.sort(key=lambda each: each.revision)
    assert len({each.revision for each in outcomes}) == 2 * ROUNDS
    lengths: dict[str, int] = {}
    for outcome in outcomes:
        for user, length in zip(outcome.histories.user_ids, outcome.histories.history_lengths, strict=True):
            assert length > lengths.get(user, 0)
            lengths[user] = length
    assert lengths["overlap-2"] == lengths["overlap-3"] == 2 * ROUNDS


def test_new_items_get_one_number_each_and_none_is_lost(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    for number in range(ROUNDS // 2):
        films = [f"film-{number}-{film}" for film in range(5)]
        mine = [watch(f"m{number}", film, 1) for film in films]
        yours = [watch(f"y{number}", film, 1) for film in reversed(films)]
        together(lambda: apply(workers[0], *mine), lambda: apply(workers[1], *yours))  # noqa: B023
    numbers = rows(database, "SELECT number FROM item WHERE item_id ~ '^film-'")
    assert len(set(numbers)) == len(numbers) == ROUNDS // 2 * 5
    unknown = value(database, "SELECT count(*) FROM interaction WHERE item NOT IN (SELECT number FROM item)")
    assert unknown == 0


def test_each_worker_hears_of_what_the_other_described(workers: tuple[HistoryStore, HistoryStore]) -> None:
    first, second = workers
    first.load_catalogue()
    second.load_catalogue()
    apply(first, describe("heard", 1, "Film", genres=["Drama"]))
    (heard,) = apply(second, watch("ann", "unrelated", 1)).changed_items[:1]
    assert (heard.item_id, heard.attributes) == ("heard", {"genres": ["Drama"]})
    assert [item.item_id for item in apply(first).changed_items] == ["unrelated"]
    assert apply(second).changed_items == []


def test_two_catalogues_end_alike_whatever_the_workers_write_at_once(
    workers: tuple[HistoryStore, HistoryStore],
) -> None:
    def write(store: HistoryStore, shift: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(ROUNDS):
                film = f"shared-{(number + shift) % 7}"
                apply(store, describe(film, number, year=number + shift), watch(f"u{shift}", film, number))

        return run

    together(write(workers[0], 0), write(workers[1], 3))
    for store in workers:
        apply(store)
    first, second = (
        {
            item.item_id: (item.number, item.attributes, item.revision)
            for item in store.catalogue.by_id.values()
        }
        for store in workers
    )
    assert {name: first[name] for name in second} == second


def test_counting_and_describing_popular_items_at_once(
    database: Database, workers: tuple[HistoryStore, HistoryStore]
) -> None:
    films = [f"popular-{film}" for film in range(20)]

    def describe_all() -> None:
        for number in range(ROUNDS // 2):
            workers[0].apply(batch(*(describe(film, number, year=number) for film in films)))

    def watch_all() -> None:
        for number in range(ROUNDS // 2):
            apply(workers[1], *(watch("fan", film, 0, f"{number}{film}") for film in films))

    def fold_all() -> None:
        for _ in range(ROUNDS):
            popularity.fold(database, datetime.now(UTC), 14.0)

    together(describe_all, watch_all, fold_all, fold_all)
    popularity.fold(database, datetime.now(UTC), 14.0)
    masses = rows(database, "SELECT DISTINCT popularity FROM item WHERE item_id ~ '^popular-'")
    one = 2 ** ((watch("u", "i", 0).occurred_at_us / 1e6 - popularity.LANDMARK_SECONDS) / (14 * 86_400))
    assert masses == [(pytest.approx(one * (ROUNDS // 2)),)]
