"""The log read back from Postgres is what training would have made of the events themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from histories import FILM_SHOP, apply, describe, erase, migrated_database, profile, remove, watch
from kindred.history import log
from kindred.history.connection import Database
from kindred.history.store import HistoryStore
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog

EVENTS = (
    describe("f1", 0, "Heat", genres=["Crime"], year=1995),
    describe("f2", 0, "Fargo", genres=["Crime"]),
    profile("ann", 1, country="DE"),
    watch("ann", "f1", 2),
    watch("ann", "f2", 3, type_="like"),
    watch("bob", "f3", 2),  # a film nobody described, by a user without a profile
    watch("bob", "f1", 1.5),
)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


def test_the_log_in_postgres_is_the_log_of_the_events(database: Database) -> None:
    apply(HistoryStore(database, FILM_SHOP), *EVENTS)
    assert _told(build_log(log.read_events(database))) == _told(build_log(EVENTS))


def test_every_field_comes_back(database: Database) -> None:
    event = msgspec.structs.replace(watch("ann", "f1", 2.000001), value=0.5, context='{"page": "home"}')
    apply(HistoryStore(database, FILM_SHOP), event)
    assert event in list(log.read_events(database))


def test_the_erased_and_the_removed_are_not_in_it(database: Database) -> None:
    store = HistoryStore(database, FILM_SHOP)
    apply(store, *EVENTS)
    apply(store, erase("ann", 10), remove("f1", 10))
    found = _told(build_log(log.read_events(database)))
    assert found["users"] == {"bob": {}}
    assert found["items"] == {"f1": None, "f2": {"genres": ["Crime"]}, "f3": None}


def test_a_reader_sees_one_moment(database: Database) -> None:
    store = HistoryStore(database, FILM_SHOP)
    apply(store, *EVENTS)
    reading = log.read_events(database)
    first = next(reading)
    apply(store, describe("f9", 20, "Later"), watch("cid", "f9", 20))
    seen = [first, *reading]
    assert len(seen) == len(EVENTS)
    assert log.count_interactions(database) == 5


def _told(found: EventLog) -> dict[str, Any]:
    """A log without its numbers, which depend on the order of reading."""
    users = [found.user_ids[user] for user in found.users]
    items = [found.item_ids[item] for item in found.items]
    types = [found.type_names[number] for number in found.types]
    return {
        "users": dict(zip(found.user_ids, found.profiles, strict=True)),
        "items": dict(zip(found.item_ids, found.attributes, strict=True)),
        "events": sorted(zip(users, found.times_us.tolist(), items, types, strict=True)),
    }
