"""Partitions of the log, and what retention does to late events and old letters (rules 20 and 22)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from histories import (
    FILM_SHOP,
    T0_US,
    apply,
    batch,
    kept_in_postgres,
    migrated_database,
    privileged,
    rows,
    value,
    watch,
)
from kindred.embedding.fleet import Fleet
from kindred.events.breaker import Breaker
from kindred.events.decode import decode
from kindred.events.schema import Contract, DeadLetter, Decoded, Reason, Record
from kindred.history import locks, partitions
from kindred.history.connection import Database
from kindred.history.store import HistoryStore, RetentionFloorRaised

T0 = datetime.fromtimestamp(T0_US / 1e6, UTC)  # 21 September 2026
DAY_SECONDS = 86_400
CONTRACT = Contract("interactions", "users", "items", frozenset(FILM_SHOP.events))


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture
def store(database: Database) -> HistoryStore:
    return HistoryStore(database, FILM_SHOP)


def where(database: Database, user: str) -> list[tuple[str, str]]:
    """Event ids with the partitions that hold them."""
    query = (
        "SELECT event_id, tableoid::regclass::text FROM interaction WHERE user_id = %s ORDER BY occurred_at"
    )
    return rows(database, query, user)


def test_this_month_and_three_more_are_made_ahead(database: Database) -> None:
    made = [f"interaction_2026{month}" for month in ("09", "10", "11", "12")]
    assert partitions.make_ahead(database, T0) == made
    assert partitions.make_ahead(database, T0) == []
    assert partitions.make_ahead(database, T0 + timedelta(days=31)) == ["interaction_202701"]


def test_each_month_begins_at_midnight_utc(database: Database, store: HistoryStore) -> None:
    partitions.make_ahead(database, T0)
    october = datetime(2026, 10, 1, tzinfo=UTC).timestamp() - T0_US / 1e6
    apply(store, watch("ann", "film", october - 1e-6, "before"), watch("ann", "film", october, "after"))
    assert where(database, "ann") == [("before", "interaction_202609"), ("after", "interaction_202610")]


def test_a_time_no_partition_takes_goes_to_the_default_one(database: Database, store: HistoryStore) -> None:
    partitions.make_ahead(database, T0)
    apply(store, watch("ann", "film", -400 * DAY_SECONDS, "old"), watch("ann", "film", 0, "new"))
    assert where(database, "ann") == [("old", "interaction_default"), ("new", "interaction_202609")]


def test_a_partition_made_late_takes_its_rows_out_of_the_default_one(
    database: Database, store: HistoryStore
) -> None:
    apply(store, watch("ann", "film", 0, "a"), watch("ann", "film", 40 * DAY_SECONDS, "b"))
    assert {name for _, name in where(database, "ann")} == {"interaction_default"}
    partitions.make_ahead(database, T0)
    assert where(database, "ann") == [("a", "interaction_202609"), ("b", "interaction_202610")]
    assert apply(store, watch("ann", "film", 0, "a"), watch("ann", "film", 1, "c")).duplicates == 1


def test_a_partition_made_late_is_like_any_other(database: Database, store: HistoryStore) -> None:
    apply(store, watch("ann", "film", 0))
    partitions.make_ahead(database, T0)
    query = """SELECT k.contype, pg_get_constraintdef(k.oid), k.conparentid <> 0 FROM pg_constraint k
               WHERE k.conrelid = 'interaction_202609'::regclass AND k.contype = 'p'"""
    assert rows(database, query) == [("p", "PRIMARY KEY (user_id, occurred_at, event_id)", True)]


def test_expired_months_go_whole_and_the_floor_stays(database: Database, store: HistoryStore) -> None:
    partitions.make_ahead(database, T0)
    ages_days = (-200, 0, 12)  # before all partitions, September, October
    apply(store, *(watch("ann", "film", days * DAY_SECONDS, f"{days}") for days in ages_days))
    october = datetime(2026, 10, 15, tzinfo=UTC)
    assert partitions.expire(database, october, retention_days=14) == ["interaction_202609"]
    assert [event for event, _ in where(database, "ann")] == ["12"]
    assert value(database, "SELECT retention_floor FROM lineage") == datetime(2026, 10, 1, tzinfo=UTC)
    assert len(kept_in_postgres(database, "ann")) == 3  # the kept history outlives the log

    assert partitions.expire(database, october, retention_days=400) == []
    assert value(database, "SELECT retention_floor FROM lineage") == datetime(2026, 10, 1, tzinfo=UTC)


def test_a_month_that_is_not_over_at_the_floor_stays(database: Database) -> None:
    partitions.make_ahead(database, T0)
    assert partitions.expire(database, datetime(2026, 9, 30, 23, 59, tzinfo=UTC), retention_days=0) == []
    assert partitions.expire(database, datetime(2026, 10, 1, tzinfo=UTC), retention_days=0) != []


def test_a_batch_decoded_under_an_older_floor_is_refused_whole(
    database: Database, store: HistoryStore
) -> None:
    floor_us = T0_US - 14 * DAY_SECONDS * 1_000_000
    partitions.expire(database, T0, retention_days=14)
    late = batch(watch("ann", "film", -20 * DAY_SECONDS))
    for decoded_under in (None, floor_us - 1):
        with pytest.raises(RetentionFloorRaised) as raised:
            store.apply(late, floor_us=decoded_under)
        assert raised.value.floor_us == floor_us
    assert rows(database, "SELECT user_id FROM app_user") == []
    assert store.apply(batch(watch("ann", "film", 1)), floor_us=floor_us).fresh == 1


def test_dropping_waits_for_the_batches_that_began_under_the_older_floor(database: Database) -> None:
    """One that still was to insert would not find the first copy of its event, and count it again."""
    partitions.make_ahead(database, T0)
    dropped = threading.Event()

    def expire() -> None:
        partitions.expire(database, T0 + timedelta(days=40), retention_days=1)
        dropped.set()

    with database.transaction() as running:
        running.execute(f"SELECT pg_advisory_xact_lock_shared({locks.BATCH})")
        thread = threading.Thread(target=expire)
        thread.start()
        assert not dropped.wait(0.3)
        assert running.execute("SELECT to_regclass('interaction_202609')").fetchone() != (None,)
    thread.join(10)
    assert dropped.is_set()


def interaction(at_ms: int, event: str) -> Record:
    fields = {"event_id": event, "user_id": "ann", "item_id": "film", "type": "watch", "occurred_at": at_ms}
    return Record("interactions", 0, at_ms % 1000, T0_US // 1000, b"ann", json.dumps(fields).encode())


def test_an_event_older_than_retention_becomes_a_letter_and_no_history(
    database: Database, store: HistoryStore
) -> None:
    """As `Syncer.apply` does: decode, be refused, decode again with the floor of the refusal."""
    from kindred.sync import Syncer

    partitions.make_ahead(database, T0)
    partitions.expire(database, T0, retention_days=30)
    syncer = Syncer(CONTRACT, Breaker(), store, Fleet(), index=None, seen=None)  # type: ignore[arg-type]
    t0_ms = T0_US // 1000
    records = [interaction(t0_ms - 31 * DAY_SECONDS * 1000, "old"), interaction(t0_ms, "new")]
    for fresh in (1, 0):
        (affected,) = syncer.apply(records)
        assert (affected.fresh, affected.dead_letters) == (fresh, {"too_old": 1})
    assert [event for event, _ in where(database, "ann")] == ["new"]
    assert rows(database, "SELECT reason, key, value = %s FROM dead_letter", records[0].value) == [
        ("too_old", b"ann", True)
    ]
    floor_us = T0_US - 30 * DAY_SECONDS * 1_000_000
    again = decode(
        records, Contract("interactions", "users", "items", CONTRACT.event_types, floor_us=floor_us)
    )
    assert [letter.reason for letter in again.dead_letters] == [Reason.TOO_OLD]


def test_a_letter_is_kept_once_however_often_it_is_delivered(database: Database, store: HistoryStore) -> None:
    record = Record("interactions", 0, 7, T0_US // 1000, None, b"\xff\x00")
    letter = DeadLetter(record, Reason.INVALID_UTF8, "lone \ud800 and \x00")
    for _ in range(2):
        store.apply(Decoded(dead_letters=[letter, letter]))
    other = DeadLetter(Record("interactions", 0, 7, T0_US // 1000, None, b"recreated"), Reason.NOT_JSON, "")
    store.apply(Decoded(dead_letters=[other]))
    found = rows(database, "SELECT record_offset, value, detail FROM dead_letter ORDER BY id")
    assert found == [(7, b"\xff\x00", "lone \\ud800 and \\x00"), (7, b"recreated", "")]


def test_old_letters_expire_slice_by_slice(
    database: Database, store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "DELETED_ROWS_AT_ONCE", 1)
    letters = [
        DeadLetter(Record("interactions", 0, offset, 0, None, b""), Reason.NOT_JSON, "")
        for offset in range(3)
    ]
    store.apply(Decoded(dead_letters=letters))
    with privileged(database) as superuser, superuser.transaction() as connection:
        connection.execute(
            "UPDATE dead_letter SET created_at = now() - interval '31 days' WHERE record_offset < 2"
        )
    assert partitions.expire_dead_letters(database, 30) == 2
    assert rows(database, "SELECT record_offset FROM dead_letter") == [(2,)]


def test_writers_go_on_while_partitions_are_made(database: Database, store: HistoryStore) -> None:
    stop, failures = threading.Event(), []

    def write() -> None:
        number = 0
        while not stop.is_set():
            try:
                apply(store, watch("ann", "film", number * DAY_SECONDS, f"{number}"))
            except Exception as failure:
                failures.append(failure)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    for month in range(12):
        partitions.make_ahead(database, T0 + timedelta(days=31 * month))
        time.sleep(0.01)
    stop.set()
    writer.join(10)
    assert failures == []
    logged = value(database, "SELECT count(*) FROM interaction WHERE user_id = 'ann'")
    assert value(database, "SELECT history_length FROM app_user WHERE user_id = 'ann'") == logged
