"""Tombstones and rows of erased users go after their time, and nobody comes back by it (rules 16 and 17)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain import NO_EVENT, Chain, chain
from kindred.history import named_letters
from kindred.operations import reaping
from kindred.operations.reaping import Reaper
from running import one, rows

ERASED_MS = 1_577_836_800_000  # 2020: far longer ago than any tombstone lives
MAX_BATCH_AGE_SECONDS = 300.0
WATCHED_SECONDS = 2 * MAX_BATCH_AGE_SECONDS
USERS = "SELECT user_id FROM app_user ORDER BY 1"
LONG_AGO = "UPDATE erasure SET requested_at = now() - interval '2 hours 1 minute'"


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        yield here


@pytest.fixture
def reaper(here: Chain) -> Reaper:
    topic = here.settings.topic("items")
    return Reaper(here.servers.database, here.points, topic, MAX_BATCH_AGE_SECONDS)


def describes(here: Chain, user: str, at_ms: int) -> None:
    value = {"user_id": user, "updated_at": at_ms, "country": "DE"}
    here.send("users", user, value, at_ms=at_ms)


def watches(here: Chain, user: str, at_ms: int) -> None:
    value = {"event_id": f"e{at_ms}", "user_id": user, "item_id": "1", "type": "watch", "occurred_at": at_ms}
    here.send("interactions", user, value, at_ms=at_ms)


def erased(here: Chain, *users: str, long_ago: bool = True) -> None:
    for user in users:
        describes(here, user, ERASED_MS - 2_000)
        watches(here, user, ERASED_MS - 1_000)
        here.send("users", user, None, at_ms=ERASED_MS)
    search_letters(here)
    if long_ago:
        rows(here.settings, LONG_AGO)


def search_letters(here: Chain) -> int:
    return named_letters.search_waiting(here.servers.database, 100, here.settings.topic("items"))


def users(here: Chain) -> list[str]:
    return [user for (user,) in rows(here.settings, USERS)]


def reap(reaper: Reaper) -> int:
    assert reaper.turn(0.0) == 0
    assert reaper.turn(WATCHED_SECONDS - 1) == 0
    return reaper.turn(WATCHED_SECONDS)


def test_row_and_tombstone_go_and_others_stay(here: Chain, reaper: Reaper) -> None:
    watches(here, "bob", ERASED_MS)
    erased(here, "ann")
    assert here.point("ann") is not None
    assert reap(reaper) == 1
    assert users(here) == ["bob"]
    assert here.point("ann") is None
    assert here.point("bob").has_vector  # type: ignore[union-attr]
    assert one(here.settings, "SELECT count(*) FROM erasure") == 1


def test_not_before_24_batch_ages(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann", long_ago=False)
    assert reap(reaper) == 0
    rows(here.settings, "UPDATE erasure SET requested_at = now() - interval '1 hour 59 minutes'")
    assert reap(reaper) == 0
    assert users(here) == ["ann"]
    assert here.point("ann").erased  # type: ignore[union-attr]


def test_a_late_event_after_reaping_does_not_bring_the_user_back(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann")
    reap(reaper)
    watches(here, "ann", ERASED_MS + 9_999)
    describes(here, "ann", ERASED_MS)
    point = here.point("ann")
    assert point is not None
    assert (point.erased, point.has_vector) == (True, False)
    assert one(here.settings, "SELECT count(*) FROM interaction WHERE user_id = 'ann'") == 0
    assert reap(reaper) == 1
    assert here.point("ann") is None


def test_a_newer_profile_after_reaping_begins_a_new_life(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann")
    reap(reaper)
    describes(here, "ann", ERASED_MS + 1)
    point = here.point("ann")
    assert point is not None
    assert (point.has_vector, point.payload["history_length"]) == (True, 0)
    assert reap(reaper) == 0


def test_a_redelivered_tombstone_after_reaping_changes_nothing(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann")
    noted = rows(here.settings, "SELECT user_hash, erased_at FROM erasure")
    reap(reaper)
    here.send("users", "ann", None, at_ms=ERASED_MS)
    assert rows(here.settings, "SELECT user_hash, erased_at FROM erasure") == noted
    assert here.point("ann").erased  # type: ignore[union-attr]


def test_who_came_back_while_watched_stays(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann", "bob")
    reaper.turn(0.0)
    describes(here, "ann", ERASED_MS + 1)
    assert reaper.turn(WATCHED_SECONDS) == 1
    assert users(here) == ["ann"]
    assert here.point("ann").has_vector  # type: ignore[union-attr]


def test_a_tombstone_that_was_written_again_is_watched_anew(here: Chain, reaper: Reaper) -> None:
    """Its upsert may still be on its way: the point would come back after the row has gone."""
    erased(here, "ann")
    reaper.turn(0.0)
    watches(here, "ann", ERASED_MS + 1)
    assert reaper.turn(WATCHED_SECONDS) == 0
    assert here.point("ann").erased  # type: ignore[union-attr]
    assert reap(reaper) == 1


def test_who_came_back_between_qdrant_and_postgres_stays(
    here: Chain, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased(here, "ann")
    delete = here.points.delete_tombstones

    def and_then_back(model: str, seen: Any) -> None:
        delete(model, seen)
        describes(here, "ann", ERASED_MS + 1)

    monkeypatch.setattr(here.points, "delete_tombstones", and_then_back)
    assert reap(reaper) == 0
    assert here.point("ann").has_vector  # type: ignore[union-attr]


def test_letters_that_name_the_user_go_before_the_id_does(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann")
    here.sync(
        here.record("interactions", "ann", NO_EVENT),
        here.record("interactions", None, {"user_id": "ann"}),
        here.record("interactions", None, {"user_id": "anna"}),
    )
    assert reap(reaper) == 1
    assert one(here.settings, "SELECT count(*) FROM dead_letter") == 1
    assert one(here.settings, "SELECT dead_letters FROM erasure") == 2


def test_nobody_is_reaped_before_the_letters_were_searched(here: Chain, reaper: Reaper) -> None:
    erased(here, "ann")
    rows(here.settings, "INSERT INTO letter_search (user_id) VALUES ('ann')")
    assert reap(reaper) == 0
    assert search_letters(here) == 1
    assert reap(reaper) == 1


def test_many_slices_are_watched_at_once(
    here: Chain, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaping, "SLICE_USERS", 1)
    erased(here, "ann", "bob", "cyd")
    for _ in range(5):  # the rounds begin again, and watch nobody twice
        assert reaper.turn(0.0) == 0
    assert [reaper.turn(WATCHED_SECONDS) for _ in range(4)] == [1, 1, 1, 0]
    assert users(here) == []
