"""Each kind of bad input becomes a dead letter with its own reason, and nothing else happens."""

import json

import pytest

from kindred.events.decode import decode
from kindred.events.schema import Contract, Reason, Record

NOW_MS = 1_770_000_000_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch", "like"}))
WATCH = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "type": "watch",
    "occurred_at": NOW_MS,
}
PROFILE = {"user_id": "u1", "updated_at": NOW_MS, "country": "SE"}
ITEM = {"item_id": "i1", "updated_at": NOW_MS, "title": "Alien", "genres": ["horror"]}


def record(value, topic="interactions", key=b"u1", timestamp_ms=NOW_MS, offset=0):
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, dict):
        value = json.dumps(value).encode()
    return Record(topic, 0, offset, timestamp_ms, key, value)


def watch(**changes):
    return json.dumps(WATCH | changes)


def without(event, name):
    return json.dumps({key: value for key, value in event.items() if key != name})


def rejected(bad):
    decoded = decode([bad], CONTRACT)
    assert len(decoded.dead_letters) == 1
    letter = decoded.dead_letters[0]
    assert letter.record is bad
    assert letter.detail.isascii()
    assert len(letter.detail) < 300
    return letter


BAD_INTERACTIONS = {
    "empty": ("", Reason.NOT_JSON),
    "no JSON": ("watch u1 i1", Reason.NOT_JSON),
    "half a record": (watch()[:-10], Reason.NOT_JSON),
    "two objects": (watch() + watch(), Reason.NOT_JSON),
    "a raw control character": (watch().replace("u1", "u\t1"), Reason.NOT_JSON),
    "a byte order mark": ("\ufeff" + watch(), Reason.NOT_JSON),
    "UTF-16": (watch().encode("utf-16"), Reason.INVALID_UTF8),
    "invalid UTF-8": (watch().encode().replace(b"u1", b"u\xff"), Reason.INVALID_UTF8),
    "invalid UTF-8 in an unknown field": (b'{"note": "\xc3("}', Reason.INVALID_UTF8),
    "an encoded surrogate": (watch().encode().replace(b"u1", b"\xed\xa0\x80"), Reason.INVALID_UTF8),
    "an array": (f"[{watch()}]", Reason.WRONG_TYPE),
    "text": ('"watch"', Reason.WRONG_TYPE),
    "a number": ("7", Reason.WRONG_TYPE),
    "null as JSON": ("null", Reason.WRONG_TYPE),
    "an empty object": ("{}", Reason.MISSING_FIELD),
    "no event_id": (without(WATCH, "event_id"), Reason.MISSING_FIELD),
    "no user_id": (without(WATCH, "user_id"), Reason.MISSING_FIELD),
    "no item_id": (without(WATCH, "item_id"), Reason.MISSING_FIELD),
    "no type": (without(WATCH, "type"), Reason.MISSING_FIELD),
    "no occurred_at": (without(WATCH, "occurred_at"), Reason.MISSING_FIELD),
    "null as an id": (watch(user_id=None), Reason.MISSING_FIELD),
    "null as a time": (watch(occurred_at=None), Reason.MISSING_FIELD),
    "an empty id": (watch(item_id=""), Reason.INVALID_ID),
    "an id of 257 bytes": (watch(user_id="u" * 257), Reason.INVALID_ID),
    "an id of 129 two-byte letters": (watch(user_id="é" * 129), Reason.INVALID_ID),
    "NUL in an id": (watch(event_id="e\0"), Reason.INVALID_ID),
    "a lone surrogate in an id": (watch(item_id="\ud800"), Reason.INVALID_ID),
    "a Boolean id": (watch(user_id=True), Reason.WRONG_TYPE),
    "a fractional id": (watch(user_id=1.5), Reason.WRONG_TYPE),
    "an id that is a list": (watch(user_id=["u1"]), Reason.WRONG_TYPE),
    "a type that is a number": (watch(type=1), Reason.WRONG_TYPE),
    "a value that is text": (watch(value="5"), Reason.WRONG_TYPE),
    "a Boolean value": (watch(value=True), Reason.WRONG_TYPE),
    "a context that is text": (watch(context="home"), Reason.WRONG_TYPE),
    "a context that is a list": (watch(context=["home"]), Reason.WRONG_TYPE),
    "NUL in the context": (watch(context={"page": "a\0"}), Reason.INVALID_TEXT),
    "a lone surrogate in the context": (watch(context={"a": [{"b": "\udfff"}]}), Reason.INVALID_TEXT),
    "a lone surrogate as a key": (watch(context={"\ud800": 1}), Reason.INVALID_TEXT),
    "NaN": (watch(value=float("nan")), Reason.INVALID_NUMBER),
    "infinity": (watch(value=float("inf")), Reason.INVALID_NUMBER),
    "minus infinity in the context": (watch(context={"a": [float("-inf")]}), Reason.INVALID_NUMBER),
    "a number beyond a double": (watch(value=7).replace(" 7", " 1e400"), Reason.INVALID_NUMBER),
    "an integer beyond a double": (watch(value=10**400), Reason.INVALID_NUMBER),
    "an integer of 5,000 digits": (watch(value=7).replace(" 7", "7" * 5000), Reason.INVALID_NUMBER),
    "a key twice": ('{"user_id": "u2", ' + watch()[1:], Reason.DUPLICATE_KEY),
    "a key twice, once escaped": ('{"\\u0075ser_id": "u2", ' + watch()[1:], Reason.DUPLICATE_KEY),
    "a key twice in the context": (
        watch(context={}).replace("{}", '{"a": {"b": 1, "b" : 2}}'),
        Reason.DUPLICATE_KEY,
    ),
    "a hundredfold list": (
        watch(context={"a": 1}).replace("1}", "[" * 100 + "]" * 100 + "}"),
        Reason.TOO_DEEP,
    ),
    "a hundredfold object": ('{"a":' * 100 + "1" + "}" * 100, Reason.TOO_DEEP),
    "30,000 open brackets": ("[" * 30_000, Reason.TOO_DEEP),
    "over 64 KB": (watch(context={"a": "x" * 65_536}), Reason.TOO_LARGE),
    "a time that is text": (watch(occurred_at="yesterday"), Reason.INVALID_TIME),
    "a time without offset": (watch(occurred_at="2026-01-01T00:00:00"), Reason.INVALID_TIME),
    "the last second of the calendar": (
        watch(occurred_at="9999-12-31T23:59:59.999999Z"),
        Reason.INVALID_TIME,  # Postgres would make it the year 10000, which Python cannot read back
    ),
    "a date": (watch(occurred_at="2026-01-01"), Reason.INVALID_TIME),
    "the 30th of February": (watch(occurred_at="2026-02-30T00:00:00Z"), Reason.INVALID_TIME),
    "25 o'clock": (watch(occurred_at="2026-01-01T25:00:00Z"), Reason.INVALID_TIME),
    "the year 0": (watch(occurred_at="0000-01-01T00:00:00Z"), Reason.INVALID_TIME),
    "the year 0 by its offset": (watch(occurred_at="0001-01-01T00:00:00+10:00"), Reason.INVALID_TIME),
    "digits of another script": (watch(occurred_at="२०२६-01-01T00:00:00Z"), Reason.INVALID_TIME),
    "a line after the time": (watch(occurred_at="2026-01-01T00:00:00Z\n"), Reason.INVALID_TIME),
    "second 60 at noon": (watch(occurred_at="2026-01-01T12:00:60Z"), Reason.INVALID_TIME),
    "epoch seconds": (watch(occurred_at=NOW_MS // 1000), Reason.INVALID_TIME),
    "epoch nanoseconds": (watch(occurred_at=NOW_MS * 1_000_000), Reason.INVALID_TIME),
    "half a millisecond": (watch(occurred_at=NOW_MS + 0.5), Reason.INVALID_TIME),
    "a Boolean time": (watch(occurred_at=True), Reason.WRONG_TYPE),
    "a time that is an object": (watch(occurred_at={"ms": NOW_MS}), Reason.WRONG_TYPE),
    "more than five minutes ahead": (watch(occurred_at=NOW_MS + 300_001), Reason.TIME_AHEAD),
    "an unknown type": (watch(type="rewind"), Reason.UNKNOWN_TYPE),
    "an unknown type with other fields": ('{"type": "search", "query": "alien"}', Reason.UNKNOWN_TYPE),
    "a tombstone": (None, Reason.NOT_JSON),
}


@pytest.mark.parametrize(("value", "reason"), BAD_INTERACTIONS.values(), ids=BAD_INTERACTIONS)
def test_bad_interaction_becomes_a_dead_letter_with_its_reason(value, reason):
    assert rejected(record(value)).reason == reason


BAD_DESCRIPTIONS = {
    "a profile without a time": ("users", without(PROFILE, "updated_at"), Reason.MISSING_FIELD),
    "a profile without an id": ("users", without(PROFILE, "user_id"), Reason.MISSING_FIELD),
    "a profile from the future": (
        "users",
        json.dumps(PROFILE | {"updated_at": NOW_MS + 300_001}),
        Reason.TIME_AHEAD,
    ),
    "NUL in an attribute": ("users", json.dumps(PROFILE | {"country": "S\0"}), Reason.INVALID_TEXT),
    "NaN in an attribute": ("items", json.dumps(ITEM | {"price": float("nan")}), Reason.INVALID_NUMBER),
    "an attribute twice": (
        "items",
        '{"year": 1979, ' + json.dumps(ITEM | {"year": 1})[1:],
        Reason.DUPLICATE_KEY,
    ),
    "an item without an id": ("items", without(ITEM, "item_id"), Reason.MISSING_FIELD),
    "a title that is a number": ("items", json.dumps(ITEM | {"title": 1984}), Reason.WRONG_TYPE),
    "null as JSON is no tombstone": ("users", "null", Reason.WRONG_TYPE),
}


@pytest.mark.parametrize(("topic", "value", "reason"), BAD_DESCRIPTIONS.values(), ids=BAD_DESCRIPTIONS)
def test_bad_profile_or_item_becomes_a_dead_letter_with_its_reason(topic, value, reason):
    assert rejected(record(value, topic)).reason == reason


@pytest.mark.parametrize("topic", ["users", "items"])
@pytest.mark.parametrize(
    ("key", "timestamp_ms", "reason"),
    [
        (None, NOW_MS, Reason.MISSING_FIELD),
        (b"", NOW_MS, Reason.INVALID_ID),
        (b"u" * 257, NOW_MS, Reason.INVALID_ID),
        (b"u\0", NOW_MS, Reason.INVALID_ID),
        (b"\xff", NOW_MS, Reason.INVALID_UTF8),
        (b"u1", -1, Reason.INVALID_TIME),
        (b"u1", 2**62, Reason.INVALID_TIME),
    ],
)
def test_tombstone_needs_an_id_as_key_and_a_time(topic, key, timestamp_ms, reason):
    assert rejected(record(None, topic, key, timestamp_ms)).reason == reason


def test_one_bad_record_of_each_kind_disturbs_no_good_one():
    good = [record(watch(event_id=f"e{n}"), offset=n) for n in range(len(BAD_INTERACTIONS))]
    bad = [record(value) for value, _ in BAD_INTERACTIONS.values()]
    mixed = [one for pair in zip(good, bad, strict=True) for one in pair]
    decoded = decode(mixed, CONTRACT)
    assert decoded.interactions == decode(good, CONTRACT).interactions
    assert [letter.record for letter in decoded.dead_letters] == bad


def test_a_topic_outside_the_contract_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="orders"):
        decode([record(watch(), topic="orders")], CONTRACT)


def test_repeated_keys_by_the_thousand_take_linear_time():
    names = ",".join(f'"{n}":0' for n in range(5_000))
    assert rejected(record("{" + names + ',"7":1}')).reason == Reason.DUPLICATE_KEY


def test_quotes_without_end_take_linear_time():
    assert rejected(record('"\\' * 30_000 + "[" * 40)).reason == Reason.NOT_JSON
