"""Any order, duplication and splitting of the same events ends in the same histories (rule 2)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histories import (
    FILM_SHOP,
    T0_US,
    apply,
    at_us,
    kept_in_postgres,
    migrated_database,
    profile,
    rows,
    sent,
    watch,
)
from kindred.events.schema import Interaction, Profile
from kindred.history.connection import Database
from kindred.history.store import HistoryStore

LIMIT = 5
USERS = ("ann", "bob", "Zoë")
# Bytes order them differently than most locales do, which matters where times are equal.
EVENT_IDS = ("a", "B", "b", "é", "z", "Z", "a1", "\U0001f600", "\uffee")
EXAMPLES = itertools.count()


def identified(key: tuple[str, str, int]) -> Interaction:
    """The content follows from the key, as the contract demands."""
    user, event, second = key
    number = EVENT_IDS.index(event) * 7 + second
    return watch(user, f"film {number % 6}", second, event, ("watch", "like", "view")[number % 3])


interactions = st.builds(
    identified, st.tuples(st.sampled_from(USERS), st.sampled_from(EVENT_IDS), st.integers(0, 3))
)
profiles = st.builds(
    lambda user, at, country: profile(user, at, country=country),
    st.sampled_from(USERS), st.integers(0, 2), st.sampled_from(["DE", "FR", "JP"]),
)  # fmt: skip


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Interaction | Profile]]:
    """Events, some more than once, in any order, cut into batches anywhere."""
    events = draw(st.lists(interactions | profiles, min_size=1, max_size=40))
    again = draw(st.lists(st.sampled_from(events), max_size=10))
    delivered = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(delivered)), max_size=6)))
    ends = [0, *cuts, len(delivered)]
    return [delivered[start:end] for start, end in itertools.pairwise(ends)]


@pytest.fixture(scope="module")
def store(postgres_url: str) -> Iterator[HistoryStore]:
    with migrated_database(postgres_url) as database:
        yield HistoryStore(database, FILM_SHOP, history_limit=LIMIT)


def expected_history(events: list[Interaction]) -> list[tuple[str, str, float]]:
    distinct = {(event.event_id, event.occurred_at_us): event for event in events}.values()
    ranked = sorted(distinct, key=lambda event: (event.occurred_at_us, event.event_id.encode()))
    newest = ranked[-LIMIT:]
    return [(event.item_id, event.type, (event.occurred_at_us - T0_US) / 1_000_000) for event in newest]


def expected_profile(profiles: list[Profile]) -> Any:
    newest = max(profiles, key=lambda each: (each.updated_at_us, each.digest), default=None)
    return None if newest is None else json.loads(newest.attributes)


def of_this_example(event: Any, number: int) -> Any:
    return type(event)(
        **{f: getattr(event, f) for f in event.__struct_fields__} | {"user_id": f"{event.user_id}{number}"}
    )


@given(deliveries())
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_histories_depend_on_the_events_alone(store: HistoryStore, delivery: list[list[Any]]) -> None:
    number = next(EXAMPLES)
    batches = [[of_this_example(event, number) for event in events] for events in delivery]
    fresh = sum(apply(store, *events).fresh for events in batches)
    every = [event for events in batches for event in events]
    affected = apply(store, *every)
    known = [event for event in every if isinstance(event, Interaction)]

    assert affected.fresh == 0
    assert affected.duplicates == len(known)
    assert fresh == len({(event.user_id, event.event_id, event.occurred_at_us) for event in known})
    assert set(affected.histories.user_ids) == {event.user_id for event in every}
    for place, user in enumerate(affected.histories.user_ids):
        own = [event for event in known if event.user_id == user]
        described = [event for event in every if isinstance(event, Profile) and event.user_id == user]
        assert sent(affected.histories, store)[user] == expected_history(own)
        assert kept_in_postgres(store._database, user) == expected_history(own)
        assert affected.histories.profiles[place] == (expected_profile(described) or {})
        assert row_of(store._database, user) == (
            len({(event.event_id, event.occurred_at_us) for event in own}),
            max((event.occurred_at_us for event in own), default=None),
            expected_profile(described),
            affected.revision,
        )
        assert affected.histories.history_lengths[place] == row_of(store._database, user)[0]
        assert affected.histories.last_event_at_us[place] == row_of(store._database, user)[1]


def row_of(database: Database, user: str) -> Any:
    query = """SELECT history_length, (extract(epoch FROM last_event_at) * 1e6)::bigint, profile, revision
               FROM app_user WHERE user_id = %s"""
    (row,) = rows(database, query, user)
    return row


def test_of_two_contents_with_one_key_the_first_stays(store: HistoryStore) -> None:
    apply(store, watch("cy", "first", 1, "e"), watch("cy", "second", 1, "e"))
    again = apply(store, watch("cy", "third", 1, "e"))
    assert sent(again.histories, store)["cy"] == [("first", "watch", 1.0)]


def test_one_event_id_at_two_times_is_two_events(store: HistoryStore) -> None:
    affected = apply(store, watch("di", "film", 1, "e"), watch("di", "film", 2, "e"))
    assert affected.fresh == 2


def test_a_late_event_takes_its_place_in_the_window(store: HistoryStore) -> None:
    apply(store, watch("el", "c", 3), watch("el", "a", 1))
    late = apply(store, watch("el", "b", 2))
    assert [item for item, _, _ in sent(late.histories, store)["el"]] == ["a", "b", "c"]


@pytest.mark.parametrize("last", ["a", "z"])
def test_of_events_at_one_time_those_with_the_higher_ids_are_kept(store: HistoryStore, last: str) -> None:
    user, others = f"tied-{last}", [event for event in "abcxyz" if event != last]
    apply(store, *(watch(user, event, 1, event) for event in others))
    affected = apply(store, watch(user, last, 1, last))
    assert [item for item, _, _ in sent(affected.histories, store)[user]] == ["b", "c", "x", "y", "z"]


def test_an_event_older_than_a_full_window_counts_but_is_not_kept(store: HistoryStore) -> None:
    apply(store, *(watch("fay", f"film {at}", at) for at in range(10, 10 + LIMIT)))
    late = apply(store, watch("fay", "old", 1))
    assert late.histories.history_lengths == [LIMIT + 1]
    assert [item for item, _, _ in sent(late.histories, store)["fay"]] == [
        f"film {at}" for at in range(10, 15)
    ]


def test_more_new_events_than_the_window_holds_leave_the_newest(store: HistoryStore) -> None:
    affected = apply(store, *(watch("gil", f"film {at}", at) for at in range(3 * LIMIT)))
    kept = sent(affected.histories, store)["gil"]
    assert [at for _, _, at in kept] == list(range(2 * LIMIT, 3 * LIMIT))
    assert affected.histories.last_event_at_us == [at_us(3 * LIMIT - 1)]


def test_a_batch_of_nobody_still_draws_a_revision(store: HistoryStore) -> None:
    assert apply(store).revision < apply(store).revision
