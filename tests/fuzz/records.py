"""Promises about records that hold for any bytes; what breaks one raises, and is a bug."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from kindred import declaration
from kindred.embedding.features import FeatureEncoder, fit_vocabulary
from kindred.events import json_text, naming
from kindred.events.decode import Event, decode
from kindred.events.encode import key_of, value_of
from kindred.events.rejected import Rejected
from kindred.events.schema import Contract, DeadLetter, Decoded, Interaction, ItemDescription, Profile, Record
from kindred.events.times import to_text, to_us
from kindred.history.window import Item
from kindred.vectors.payloads import item_payload

Target = Callable[[bytes], None]

NOW_MS = 1_770_000_000_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch", "like"}))
EVERY_KIND = declaration.parse(
    """
    user_id_buckets = 8
    [events]
    watch = {}
    like = {}
    [user]
    country = { kind = "category" }
    tags = { kind = "multi_category" }
    [item]
    genres = { kind = "multi_category" }
    studio = { kind = "category" }
    year = { kind = "number", buckets = 4 }
    title = { kind = "text", buckets = 64 }
    plot = { kind = "vector", width = 2 }
    [payload]
    price = { kind = "float" }
    """,
    "every kind of attribute",
)
_SEEN = [
    {"genres": ["Drama"], "studio": "A", "year": 1990, "title": "Alien"},
    {"year": 2000, "genres": ["War"]},
]
KNOWN = fit_vocabulary(EVERY_KIND, ["i1", "i2"], _SEEN, [{"country": "SE", "tags": ["x"]}])
_ENCODER = FeatureEncoder(EVERY_KIND, KNOWN)

HAS_KEY, IS_TOMBSTONE, HAS_TIME = 1, 2, 4


def record_of(topic: str, data: bytes) -> Record:
    """A byte of flags, a time (8 bytes) and a key (a byte of length) where the flags say so, the value."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    timestamp_ms, key = NOW_MS, None
    if flags & HAS_TIME:
        timestamp_ms, rest = int.from_bytes(rest[:8], "big", signed=True), rest[8:]
    if flags & HAS_KEY:
        end = 1 + (rest[0] if rest else 0)
        key, rest = rest[1:end], rest[end:]
    return Record(topic, 0, 0, timestamp_ms, key, None if flags & IS_TOMBSTONE else rest)


def a_record(topic: str) -> Target:
    """A record becomes one event that holds what the contract says, or one letter that can be kept."""

    def target(data: bytes) -> None:
        record = record_of(topic, data)
        decoded = decode([record], CONTRACT)
        events = events_of(decoded)
        assert len(events) + len(decoded.dead_letters) == 1
        for letter in decoded.dead_letters:
            _check_letter(letter)
        for event in events:
            _check_event(event, record)

    return target


def events_of(decoded: Decoded) -> list[Any]:
    """All of them, a kind after another."""
    kinds = (decoded.interactions, decoded.profiles, decoded.erasures, decoded.descriptions, decoded.removals)
    return [event for kind in kinds for event in kind]


def _check_letter(letter: DeadLetter) -> None:
    assert letter.detail.isascii()
    assert letter.detail.isprintable()
    assert len(letter.detail) < 300
    users = {user: naming.spellings(user) for user in ("u1", '"', "\\")}
    for is_item in (False, True):
        naming.named_users(letter.record.key or b"", letter.record.value or b"", users, is_item)


def _check_event(event: Event, record: Record) -> None:
    for name in ("event_id", "user_id", "item_id"):
        if (value := getattr(event, name, None)) is not None:
            assert 0 < len(value.encode()) <= 256
            assert "\0" not in value
    value = record.value or b""
    for text in (getattr(event, "attributes", None), getattr(event, "context", None)):
        if text is not None:
            assert len(text) <= 8 * len(value) + 64
            assert type(json.loads(text)) is dict
            assert json_text.canonical(json_text.parse_object(text.encode())) == text
    written = value_of(event)
    if written is None or len(written) <= CONTRACT.max_value_bytes:
        again = msgspec.structs.replace(record, key=key_of(event), value=written)
        assert events_of(decode([again], CONTRACT)) == [event]
    if not isinstance(event, Interaction):
        _check_features(event)


def _check_features(event: Event) -> None:
    """What a producer may send, a worker can encode and write; else the record would stop it."""
    if isinstance(event, Profile):
        bags = _ENCODER.encode_profiles([event.user_id], [json.loads(event.attributes)])
        tokens = _ENCODER.users.token_count
    elif isinstance(event, ItemDescription):
        attributes = msgspec.json.decode(event.attributes)
        bags = _ENCODER.encode_items([event.item_id], [attributes | {"title": event.title}])
        tokens = _ENCODER.items.token_count
        item = Item(0, event.item_id, event.title, attributes, removed=False, revision=1, popularity=0.0)
        json.loads(msgspec.json.encode(item_payload(EVERY_KIND, "m", item, 1)))
    else:
        return
    assert (bags.tokens >= 0).all()
    assert (bags.tokens < tokens).all()
    assert np.isfinite(bags.weights).all()
    assert np.isfinite(bags.vectors).all()


def any_json(data: bytes) -> None:
    """Both parsers agree, and what is parsed has one canonical text."""
    quick = json_text._parse_plain(data)
    if quick is not None:
        assert repr(quick) == repr(json_text._parse_any(data))
    parsed = _unless_rejected(json_text.parse_object, data)
    if parsed is None:
        return
    text = json_text.canonical(parsed)
    assert json_text.parse_object(text.encode()) == parsed
    assert json_text.canonical(json_text.parse_object(text.encode())) == text


def any_time(data: bytes) -> None:
    """A time, as text or as a number, is refused or has one text that means it."""
    values: list[Any] = [data.decode(errors="replace"), int.from_bytes(data[:12], "big", signed=True)]
    if len(data) >= 8 and math.isfinite(number := np.frombuffer(data[:8], np.float64)[0]):
        values.append(float(number))
    for value in values:
        time_us = _unless_rejected(to_us, value, "occurred_at")
        assert time_us is None or to_us(to_text(time_us), "occurred_at") == time_us


def _unless_rejected(parse: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns; None where it rejects, which it does in a few words."""
    try:
        return parse(*arguments)
    except Rejected as rejected:
        detail = rejected.detail
    assert detail.isascii()
    assert len(detail) < 300
    return None
