"""Good records: what each field becomes, and what is tolerated."""

import json

import pytest

from kindred.events.decode import decode
from kindred.events.schema import Contract, Erasure, Interaction, ItemRemoval, Record

NOW_MS = 1_770_000_000_000
NOW_US = NOW_MS * 1_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch", "like"}))
WATCH = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "type": "watch",
    "occurred_at": NOW_MS,
}


def only(kind, value, topic="interactions"):
    """The one event in `value`, and no dead letter."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    decoded = decode([Record(topic, 0, 0, NOW_MS, b"key", text)], CONTRACT)
    assert decoded.dead_letters == []
    (event,) = getattr(decoded, kind)
    return event


def interaction(**changes):
    return only("interactions", WATCH | changes)


def profile(**attributes):
    return only("profiles", {"user_id": "u1", "updated_at": NOW_MS} | attributes, "users")


def description(**attributes):
    return only("descriptions", {"item_id": "i1", "updated_at": NOW_MS} | attributes, "items")


def test_interaction_with_everything():
    event = interaction(value=4, context={"slot": 3, "page": "home"}, device="tv")
    expected = Interaction("e1", "u1", "i1", "watch", NOW_US, 4.0, '{"page":"home","slot":3}', NOW_US)
    assert event == expected


def test_nulls_stand_for_absent_optional_fields():
    assert interaction(value=None, context=None) == interaction()


@pytest.mark.parametrize("number", [0, 42, -7, 2**53 + 1, 2**64])
def test_integers_as_ids_become_text(number):
    assert interaction(user_id=number).user_id == str(number)


def test_ids_of_256_bytes_are_kept():
    assert interaction(user_id="é" * 128).user_id == "é" * 128


def test_spaces_escapes_and_order_of_keys_do_not_matter():
    text = json.dumps(dict(reversed(WATCH.items())), indent=2).replace("watch", "w\\u0061tch")
    assert only("interactions", text.encode()) == interaction()


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-02-02T02:40:00Z", 0),
        ("2026-02-02t02:40:00z", 0),
        ("2026-02-02 02:40:00Z", 0),
        ("2026-02-02T02:40:00-00:00", 0),
        ("2026-02-02T08:10:00+05:30", 0),
        ("2026-02-01T23:40:00.5-03:00", 500_000),
        ("2026-02-02T02:40:00.000001999Z", 1),
        (NOW_MS, 0),
        (float(NOW_MS), 0),
        ("1969-12-31T23:59:59.999999Z", -NOW_US - 1),
        ("1972-06-30T23:59:60Z", 78_796_800_000_000 - NOW_US),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000 - NOW_US),
        (-1, -NOW_US - 1_000),
        (0, -NOW_US),
    ],
)
def test_times_are_rfc3339_or_epoch_milliseconds(text, microseconds):
    assert interaction(occurred_at=text).occurred_at_us == NOW_US + microseconds


def test_a_time_exactly_the_skew_ahead_is_kept():
    assert interaction(occurred_at=NOW_MS + 300_000).occurred_at_us == NOW_US + 300_000_000


def test_profile_attributes_are_scalars_and_lists_of_scalars():
    kept = {"country": "SE", "age": 41, "score": 0.5, "premium": False, "tags": ["a", 2]}
    ignored = {"plan": None, "address": {"city": "Lund"}, "grid": [[1]]}
    assert json.loads(profile(**kept, **ignored).attributes) == kept


def test_nulls_within_a_list_are_left_out():
    assert json.loads(description(genres=["drama", None]).attributes) == {"genres": ["drama"]}


def test_title_is_no_attribute():
    item = description(title="Alien", year=1979)
    assert (item.title, item.attributes) == ("Alien", '{"year":1979}')


def test_attributes_keep_integers_beyond_64_bits_exactly():
    assert json.loads(profile(big=2**70).attributes) == {"big": 2**70}


def test_digest_depends_on_content_alone():
    assert profile(a=1, b=2).digest == profile(b=2, a=1).digest
    assert profile(a=1).digest == profile(a=1, updated_at=NOW_MS - 1).digest
    assert profile(a=1).digest != profile(a=2).digest
    assert description(title="A").digest != description(title="B").digest
    assert description(title="A").digest != description(title=None).digest
    assert len(profile().digest) == 32


def test_null_values_erase_users_and_remove_items_at_the_time_of_the_record():
    tombstones = [
        Record("users", 0, 0, NOW_MS, "å".encode(), None),
        Record("items", 0, 0, NOW_MS + 1, b"42", None),
    ]
    decoded = decode(tombstones, CONTRACT)
    assert decoded.erasures == [Erasure("å", NOW_US)]
    assert decoded.removals == [ItemRemoval("42", NOW_US + 1_000)]


def test_nesting_of_30_is_kept():
    context = {"a": json.loads("[" * 30 + "]" * 30)}
    assert json.loads(interaction(context=context).context) == context
