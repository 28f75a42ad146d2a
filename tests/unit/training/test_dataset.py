from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from kindred.declaration import Declaration
from kindred.events.schema import Contract, Erasure, Interaction, ItemDescription, ItemRemoval, Profile
from kindred.training.dataset import Event, build_log, read_log
from kindred.training.event_log import EventLog
from kindred.training.targets import target_events


def interaction(user: str, item: str, time_us: int, event_id: str = "e", kind: str = "watch") -> Interaction:
    return Interaction(event_id, user, item, kind, time_us, None, None)


def stories(log: EventLog) -> dict[str, list[str]]:
    """Items of each user, in the order of the log."""
    return {
        user_id: [log.item_ids[item] for item in log.items[log.offsets[user] : log.offsets[user + 1]]]
        for user, user_id in enumerate(log.user_ids)
    }


def test_events_stand_by_time_then_event_id_whatever_order_they_came_in() -> None:
    events: list[Event] = [
        interaction("u", "third", 2, "a"),
        interaction("u", "first", 1, "Z"),
        interaction("u", "second", 1, "a"),
    ]
    assert stories(build_log(events)) == {"u": ["first", "second", "third"]}


def test_any_order_and_duplication_makes_the_same_histories(shop_events: list[Event]) -> None:
    shuffled = shop_events + shop_events[::7]
    random.Random(1).shuffle(shuffled)
    assert stories(build_log(shuffled)) == stories(build_log(shop_events))


def test_an_erasure_covers_what_lies_at_or_before_it() -> None:
    events: list[Event] = [
        Profile("u", 3, '{"age_group": "old"}', b""),
        interaction("u", "forgotten", 5),
        interaction("u", "kept", 6),
        Erasure("u", 5),
    ]
    log = build_log(events)
    assert stories(log) == {"u": ["kept"]}
    assert log.profiles == [{}]


def test_the_newest_description_counts_and_ties_go_to_the_higher_digest() -> None:
    events: list[Event] = [
        ItemDescription("i", 2, None, '{"year": 2}', b"b"),
        ItemDescription("i", 2, None, '{"year": 1}', b"a"),
        ItemDescription("i", 1, None, '{"year": 0}', b"z"),
        ItemDescription("gone", 1, None, "{}", b""),
        ItemRemoval("gone", 2),
        ItemDescription("gone but taken", 1, None, "{}", b""),
        ItemRemoval("gone but taken", 2),
        interaction("u", "gone but taken", 1),
    ]
    log = build_log(events)
    found = dict(zip(log.item_ids, log.attributes, strict=True))
    assert found == {"i": {"year": 2}, "gone but taken": None}


def test_an_item_is_gone_until_it_is_described_later_than_it_was_removed() -> None:
    events: list[Event] = [
        interaction("u", item, 1) for item in ("described", "gone", "never described", "i")
    ]
    events += [ItemRemoval(item, 5) for item in ("described", "gone", "never described", "never taken")]
    events += [ItemDescription("described", 6, None, "{}", b""), ItemDescription("gone", 5, None, "{}", b"")]
    log = build_log(events)
    assert dict(zip(log.item_ids, log.removed.tolist(), strict=True)) == {
        "described": False,
        "gone": True,
        "i": False,
        "never described": True,
    }
    assert [item.removed for item in log.catalogue()] == log.removed.tolist()


def test_a_file_of_lines_makes_the_same_log(tmp_path: Path, film_shop: Declaration) -> None:
    lines = [
        {"event_id": "e", "user_id": "u", "item_id": "i", "type": "watch", "occurred_at": 1_000},
        {"item_id": "i", "updated_at": 1_000, "title": "A film", "genres": ["drama"]},
        {"user_id": "u", "updated_at": 1_000, "country": "DE"},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    log = read_log(path, Contract("interactions", "users", "items", frozenset(film_shop.events)))
    assert stories(log) == {"u": ["i"]}
    assert log.profiles == [{"country": "DE"}]
    assert log.titles == ["A film"]
    assert log.attributes == [{"genres": ["drama"]}]
    assert log.times_us.tolist() == [1_000_000]


def test_targets_are_positive_and_on_items_not_seen_before(film_shop: Declaration) -> None:
    events: list[Event] = [
        interaction("u", "a", 1, kind="view"),  # no target, and does not count as seen
        interaction("u", "a", 2, kind="watch"),  # a target
        interaction("u", "a", 3, kind="like"),  # positive, but seen by now
        interaction("u", "b", 4, kind="dislike"),  # seen, never a target
        interaction("u", "b", 5, kind="watch"),
        interaction("v", "a", 6, kind="watch"),  # another user's first time
    ]
    log = build_log(events)
    assert target_events(log, film_shop).tolist() == [False, True, False, False, False, True]


def test_histories_end_before_their_event(shop: EventLog) -> None:
    events = np.array([shop.offsets[3], shop.offsets[3] + 4, shop.offsets[4] - 1])
    histories = shop.histories(events, limit=3)
    assert np.diff(histories.offsets).tolist() == [0, 3, 3]
    assert histories.user_ids == [shop.user_ids[3]] * 3
    assert histories.items[:3].tolist() == shop.items[events[1] - 3 : events[1]].tolist()


def test_a_log_before_a_moment_keeps_numbers_and_order(shop: EventLog) -> None:
    half = shop.before(shop.time_at(0.5))
    assert half.times_us.max() < shop.times_us.max()
    assert abs(len(half) / len(shop) - 0.5) < 0.02
    for user, items in stories(half).items():
        assert items == stories(shop)[user][: len(items)]
