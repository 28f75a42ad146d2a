"""Erasure and re-registration in Postgres: rules 13 to 16."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histories import (
    FILM_SHOP,
    apply,
    at_us,
    erase,
    kept_in_postgres,
    migrated_database,
    profile,
    rows,
    sent,
    value,
    watch,
)
from kindred.events.schema import DeadLetter, Decoded, Reason, Record
from kindred.history import named_letters
from kindred.history.connection import Database
from kindred.history.store import HistoryStore

LIMIT = 5
SKEW_SECONDS = 300
EXAMPLES = itertools.count()


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def store(database: Database) -> HistoryStore:
    return HistoryStore(database, FILM_SHOP, history_limit=LIMIT)


@pytest.fixture(scope="module")
def profileless(database: Database) -> HistoryStore:
    """A deployment without profiles: interactions re-open an id."""
    return HistoryStore(database, FILM_SHOP, history_limit=LIMIT, reopen_skew_us=SKEW_SECONDS * 1_000_000)


def logged(database: Database, user: str) -> list[str]:
    query = "SELECT event_id FROM interaction WHERE user_id = %s ORDER BY occurred_at, event_id"
    return [event_id for (event_id,) in rows(database, query, user)]


def test_erasing_leaves_nothing_of_a_user(database: Database, store: HistoryStore) -> None:
    apply(store, profile("ann", 1, country="DE"), *(watch("ann", f"film {at}", at) for at in range(9)))
    affected = apply(store, erase("ann", 20))

    assert affected.erased == ["ann"]
    assert affected.histories.user_ids == []
    assert logged(database, "ann") == []
    (left,) = rows(
        database,
        """SELECT profile, profile_updated_at, profile_digest, history_at, history_items, history_types,
                  history_length, last_event_at, revision FROM app_user WHERE user_id = 'ann'""",
    )
    assert left == (None, None, None, [], [], [], 0, None, affected.revision)


def test_erasing_a_user_nobody_knows_makes_a_tombstone(store: HistoryStore) -> None:
    assert apply(store, erase("nobody", 1)).erased == ["nobody"]
    assert apply(store, watch("nobody", "film", 0)).erased == ["nobody"]


def test_the_erasure_row_holds_a_keyed_hash_and_a_time(database: Database, store: HistoryStore) -> None:
    apply(store, erase("hal", 5))
    apply(store, erase("hal", 9))
    apply(store, erase("hal", 7))
    query = """SELECT (extract(epoch FROM e.erased_at) * 1e6)::bigint FROM erasure e, lineage l
               WHERE e.user_hash = sha256(l.erasure_key || 'hal'::bytea)"""
    assert value(database, query) == at_us(9)
    assert value(database, "SELECT count(*) FROM erasure WHERE position('hal'::bytea IN user_hash) > 0") == 0


def test_interactions_of_an_erased_user_are_counted_only(database: Database, store: HistoryStore) -> None:
    apply(store, watch("bob", "film", 1), erase("bob", 10))
    late = apply(store, watch("bob", "film", 2), watch("bob", "film", 9_999), watch("cyd", "film", 2))
    assert (late.dropped, late.fresh, late.duplicates) == (2, 1, 0)
    assert late.erased == ["bob"]
    assert late.histories.user_ids == ["cyd"]
    assert logged(database, "bob") == []


@pytest.mark.parametrize(("described_at", "is_open"), [(9, False), (10, False), (11, True)])
def test_only_a_newer_profile_reopens(store: HistoryStore, described_at: int, is_open: bool) -> None:
    user = f"reopen-{described_at}"
    apply(store, profile(user, 1, country="DE"), erase(user, 10))
    affected = apply(store, profile(user, described_at, country="FR"))
    assert (affected.erased == []) == is_open
    assert list(affected.histories.profiles) == ([{"country": "FR"}] if is_open else [])


def test_a_reopened_id_takes_interactions_of_its_new_life_only(store: HistoryStore) -> None:
    apply(store, watch("eve", "old", 1), erase("eve", 10))
    affected = apply(store, profile("eve", 11), watch("eve", "old", 1), watch("eve", "new", 12))
    assert affected.dropped == 1
    assert sent(affected.histories, store)["eve"] == [("new", "watch", 12.0)]
    assert affected.histories.history_lengths == [1]


def test_what_a_fast_clock_dated_later_stays_out_of_the_new_life_when_it_comes_again(
    database: Database, store: HistoryStore
) -> None:
    """Recorded before the erasure and dated after it, within the skew; then its partition is read anew."""
    ahead = msgspec.structs.replace(watch("eli", "film", 12), recorded_at_us=at_us(9))
    apply(store, ahead)
    apply(store, erase("eli", 10))
    apply(store, profile("eli", 11))
    again = apply(store, ahead, msgspec.structs.replace(watch("eli", "new", 12), recorded_at_us=at_us(12)))
    assert again.dropped == 1
    assert sent(again.histories, store)["eli"] == [("new", "watch", 12.0)]
    assert logged(database, "eli") == ["eli-new-12"]


def test_a_tombstone_delivered_again_spares_the_new_life(database: Database, store: HistoryStore) -> None:
    apply(store, watch("fay", "old", 1), erase("fay", 10))
    apply(store, profile("fay", 11, country="JP"), watch("fay", "new", 12))
    again = apply(store, erase("fay", 10))
    assert again.erased == []
    assert again.histories.profiles == [{"country": "JP"}]
    assert sent(again.histories, store)["fay"] == [("new", "watch", 12.0)]
    assert logged(database, "fay") == ["fay-new-12"]


def test_within_a_batch_erasures_come_first(store: HistoryStore) -> None:
    affected = apply(
        store, watch("gus", "new", 12), profile("gus", 11), watch("gus", "old", 9), erase("gus", 10)
    )
    assert affected.erased == []
    assert sent(affected.histories, store)["gus"] == [("new", "watch", 12.0)]


def test_a_late_erasure_takes_only_what_came_before_it_from_a_reopened_id(
    database: Database, store: HistoryStore
) -> None:
    films = [watch("ida", f"film {at}", at) for at in range(1, 13)]
    apply(store, profile("ida", 10, country="DE"), *films)
    affected = apply(store, erase("ida", 9))
    assert affected.erased == []
    assert sent(affected.histories, store)["ida"] == [
        (f"film {at}", "watch", float(at)) for at in (10, 11, 12)
    ]
    assert affected.histories.history_lengths == [3]
    assert affected.histories.last_event_at_us == [at_us(12)]
    assert len(logged(database, "ida")) == 3


def test_a_new_life_that_arrived_before_its_tombstone_and_profile_survives_them(store: HistoryStore) -> None:
    """The users topic lags: interactions of the new life are there first."""
    apply(store, profile("jim", 1), watch("jim", "old", 2), watch("jim", "new", 12))
    affected = apply(store, erase("jim", 10), profile("jim", 11, country="DE"))
    assert affected.erased == []
    assert sent(affected.histories, store)["jim"] == [("new", "watch", 12.0)]


def test_a_late_erasure_without_a_newer_profile_takes_also_what_a_fast_clock_dated_later(
    database: Database, store: HistoryStore
) -> None:
    apply(store, profile("kim", 1), watch("kim", "film", 2), watch("kim", "film", 12))
    assert apply(store, erase("kim", 10)).erased == ["kim"]
    assert logged(database, "kim") == []
    assert kept_in_postgres(database, "kim") == []


def test_a_second_erasure_ends_the_second_life(database: Database, store: HistoryStore) -> None:
    apply(store, erase("lea", 10))
    apply(store, profile("lea", 11), watch("lea", "film", 12))
    assert apply(store, erase("lea", 20)).erased == ["lea"]
    assert logged(database, "lea") == []


def test_an_erased_user_is_a_tombstone_on_the_path_of_pending_rows_too(store: HistoryStore) -> None:
    written = apply(store, watch("mia", "film", 1))
    store.request_again(written)
    apply(store, erase("mia", 10))
    affected = store.apply(Decoded(), pending=store.take_pending(100))
    assert "mia" in affected.erased
    assert "mia" not in affected.histories.user_ids


def letter(key: bytes | None, at: float, offset: int) -> DeadLetter:
    record = Record("interactions", 0, offset, at_us(at) // 1000, key, b"{")
    return DeadLetter(record, Reason.NOT_JSON, "detail")


def test_dead_letters_under_the_users_key_go_as_well(database: Database, store: HistoryStore) -> None:
    letters = [letter(b"ned", 1, 1), letter(b"ned", 99, 2), letter(b"other", 1, 3), letter(None, 1, 4)]
    store.apply(Decoded(dead_letters=letters))
    apply(store, erase("ned", 10))
    apply(store, profile("ned", 50))  # or everything would go
    assert named_letters.search_waiting(database, 100, "items") > 0
    assert rows(database, "SELECT record_offset FROM dead_letter ORDER BY 1") == [(2,), (3,), (4,)]


def test_a_dead_letter_in_the_tombstones_own_batch_goes_too(database: Database, store: HistoryStore) -> None:
    store.apply(Decoded(dead_letters=[letter(b"oda", 1, 5)], erasures=[erase("oda", 10)]))
    named_letters.search_waiting(database, 100, "items")
    assert rows(database, "SELECT record_offset FROM dead_letter WHERE key = 'oda'") == []


def test_letters_of_an_item_with_the_users_id_stay(database: Database, store: HistoryStore) -> None:
    record = Record("items", 0, 8, at_us(1) // 1000, b"42", b"{")
    store.apply(Decoded(dead_letters=[DeadLetter(record, Reason.NOT_JSON, "detail")]))
    apply(store, erase("42", 10))
    named_letters.search_waiting(database, 100, "items")
    assert rows(database, "SELECT record_offset FROM dead_letter WHERE key = '42'") == [(8,)]


# In any order

moments = st.sampled_from([0, 10, 11, 300, 310, 311, 320, 600, 620, 900])
erased_moments = st.sampled_from([10, 300])
described_lives = st.lists(
    st.builds(lambda at, film: ("watch", at, film), moments, st.sampled_from("abc"))
    | st.builds(lambda at: ("erase", at, ""), erased_moments)
    | st.builds(lambda at: ("describe", at, ""), moments),
    min_size=1,
    max_size=25,
)


@given(described_lives, st.integers(1, 6))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_wherever_the_tombstone_comes_the_end_is_the_same(
    database: Database, store: HistoryStore, life: list[Any], size: int
) -> None:
    """What an erased user does before the profile that re-opens the id is dropped (docs/events.md)."""
    user = f"life-{next(EXAMPLES)}"
    erased_at = max((at for kind, at, _ in life if kind == "erase"), default=-1)
    life = _profile_first(life, erased_at)
    events = {
        "watch": lambda at, film: watch(user, film, at),
        "erase": lambda at, _: erase(user, at),
        "describe": lambda at, _: profile(user, at, country="DE"),
    }
    records = [events[kind](at, film) for kind, at, film in life]
    for start in range(0, len(records), size):
        affected = apply(store, *records[start : start + size])
    described_at = max((at for kind, at, _ in life if kind == "describe"), default=-1)
    is_erased = erased_at >= 0 and described_at <= erased_at
    kept = {(at, film) for kind, at, film in life if kind == "watch" and at > erased_at}
    assert affected.erased == ([user] if is_erased else [])
    assert logged(database, user) == (
        [] if is_erased else [f"{user}-{film}-{at}" for at, film in sorted(kept)]
    )


def _profile_first(life: list[Any], erased_at: int) -> list[Any]:
    """Without interactions of the new life that come before the first profile of it."""
    opens = [place for place, (kind, at, _) in enumerate(life) if kind == "describe" and at > erased_at]
    if erased_at < 0 or not opens:
        return life
    return [
        each
        for place, each in enumerate(life)
        if not (each[0] == "watch" and each[1] > erased_at and place < opens[0])
    ]


# Without profiles


def test_a_clearly_later_interaction_reopens_and_is_embedded_at_once(profileless: HistoryStore) -> None:
    apply(profileless, watch("pat", "old", 1), erase("pat", 10))
    within = apply(profileless, watch("pat", "film", 10 + SKEW_SECONDS))
    assert (within.dropped, within.erased) == (1, ["pat"])
    later = apply(profileless, watch("pat", "new", 11 + SKEW_SECONDS))
    assert (later.dropped, later.erased) == (0, [])
    assert [item for item, _, _ in sent(later.histories, profileless)["pat"]] == ["new"]
    again = apply(profileless, watch("pat", "new", 11 + SKEW_SECONDS), erase("pat", 10))
    assert (again.fresh, again.duplicates, again.erased) == (0, 1, [])


lives = st.lists(
    st.builds(lambda at, film: ("watch", at, film), moments, st.sampled_from("abc"))
    | st.builds(lambda at: ("erase", at, ""), erased_moments),
    min_size=1,
    max_size=25,
)


@given(lives, st.integers(1, 6))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_without_profiles_any_order_ends_in_the_same_life(
    database: Database, profileless: HistoryStore, life: list[Any], size: int
) -> None:
    user = f"any-{next(EXAMPLES)}"
    events = [watch(user, film, at) if kind == "watch" else erase(user, at) for kind, at, film in life]
    for start in range(0, len(events), size):
        affected = apply(profileless, *events[start : start + size])
    erased_at = max((at for kind, at, _ in life if kind == "erase"), default=None)
    begins = -1 if erased_at is None else erased_at + SKEW_SECONDS
    kept = sorted({(at, film) for kind, at, film in life if kind == "watch" and at > begins})
    expected = sorted((float(at), f"{user}-{film}-{at}", film) for at, film in kept)[-LIMIT:]

    assert kept_in_postgres(database, user) == [(film, "watch", at) for at, _, film in expected]
    assert len(logged(database, user)) == len(kept)
    assert affected.erased == ([] if kept or erased_at is None else [user])
    if kept:
        assert affected.histories.history_lengths == [len(kept)]
        assert affected.histories.last_event_at_us == [at_us(kept[-1][0])]
