"""The log copied out of Postgres is what training makes of the events themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histories import (
    FILM_SHOP,
    T0_US,
    apply,
    describe,
    erase,
    migrated_database,
    profile,
    remove,
    rows,
    watch,
)
from kindred.embedding import checkpoint
from kindred.history.connection import Database
from kindred.history.log import opened_log
from kindred.history.store import HistoryStore
from kindred.training import log_files
from kindred.training.copied_log import copied_log
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog
from kindred.training.options import TrainingOptions
from kindred.training.train import train

EVENTS = (
    describe("f1", 0, "Heat", genres=["Crime"], year=1995),
    describe("f2", 0, "Fargo", genres=["Crime"]),
    describe("a0", 0, "Never taken"),
    profile("zoe", 1, country="DE", age_group="18-24"),
    watch("zoe", "f1", 2),
    watch("zoe", "f2", 3, type_="like"),
    watch("zoe", "f2", 3, event="Z"),  # the same moment: Z comes before z in bytes
    watch("bob", "f3", 2),  # a film nobody described, by a user without a profile
    watch("bob", "f1", 1.5),
    watch("bö", "f1", 1.000001),
    watch("b", "ä", 1),
)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


def copied(database: Database) -> EventLog:
    with opened_log(database) as reader:
        return copied_log(reader)


def told(log: EventLog) -> dict[str, Any]:
    """Everything that a log says, its numbers included."""
    names = ("user_ids", "item_ids", "type_names", "profiles", "titles", "attributes")
    return {name: list(getattr(log, name)) for name in names} | {
        name: getattr(log, name).tolist() for name in log_files.COLUMNS
    }


def test_the_log_in_postgres_is_the_log_of_the_events(database: Database) -> None:
    for event in EVENTS[::-1]:  # so that Postgres' own numbers have another order than the names
        apply(HistoryStore(database, FILM_SHOP), event)
    found = copied(database)
    assert told(found) == told(build_log(EVENTS))
    assert list(found.item_ids) == ["a0", "f1", "f2", "f3", "ä"]


def test_the_same_log_gives_the_same_model(database: Database, tmp_path: Path) -> None:
    events = [watch(f"u{user}", f"f{user * at % 7}", at) for user in range(30) for at in range(1, 9)]
    apply(HistoryStore(database, FILM_SHOP), *EVENTS, *events)
    now, options = datetime(2026, 11, 23, tzinfo=UTC), TrainingOptions(epochs=1)
    one = train(copied(database), FILM_SHOP, options, tmp_path / "one", now=now)
    other = train(build_log([*EVENTS, *events]), FILM_SHOP, options, tmp_path / "other", now=now)
    assert checkpoint.read_manifest(one).name == checkpoint.read_manifest(other).name


def test_an_empty_database_is_an_empty_log(database: Database) -> None:
    assert told(copied(database)) == told(build_log([]))


def test_the_erased_and_the_removed_are_not_in_it(database: Database) -> None:
    store = HistoryStore(database, FILM_SHOP)
    apply(store, *EVENTS)
    # f2 was described again, nobody ever described f3.
    ends = [erase("zoe", 10), *(remove(item, 10) for item in ("f1", "f2", "f3", "a0"))]
    ends += [describe("f2", 11, "Fargo"), watch("bob", "f2", 12)]
    for event in ends:
        apply(store, event)
    found = copied(database)
    assert told(found) == told(build_log([*EVENTS, *ends]))
    assert dict(zip(found.item_ids, found.removed.tolist(), strict=True)) == {
        "f1": True,
        "f2": False,
        "f3": True,
        "ä": False,
    }


def test_a_reader_sees_one_moment(database: Database) -> None:
    store = HistoryStore(database, FILM_SHOP)
    apply(store, *EVENTS)
    with opened_log(database) as reader:
        users = list(reader.users())
        apply(store, describe("f9", 20, "Later"), watch("cid", "f9", 20))
        assert sum(len(block.items) for block in reader.interactions()) == 7
        assert "f9" not in [item.item_id for item in reader.items()]
    assert [user.user_id for user in users] == ["b", "bob", "bö", "zoe"]


def test_users_whose_oldest_events_expired_are_marked(database: Database) -> None:
    apply(HistoryStore(database, FILM_SHOP), *EVENTS)
    before_the_like = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=T0_US + 2_500_000)
    rows(database, "DELETE FROM interaction WHERE occurred_at < %s RETURNING 1", before_the_like)
    found = copied(database)
    assert list(found.user_ids) == ["zoe"]
    assert not found.from_start.any()


def test_many_events_come_in_many_blocks(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kindred.history.log.BLOCK_BYTES", 300)
    events = [watch(f"u{at % 5}", f"f{at % 11}", at) for at in range(100)]
    apply(HistoryStore(database, FILM_SHOP), *events)
    assert told(copied(database)) == told(build_log(events))
    assert np.diff(copied(database).offsets).tolist() == [20] * 5
