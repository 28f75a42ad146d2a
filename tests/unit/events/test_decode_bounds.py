"""A record costs bounded memory and work, whatever its bytes: hostile ones of the greatest size allowed."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.records import CONTRACT, HAS_KEY, HAS_TIME, IS_TOMBSTONE, NOW_MS, a_record
from fuzz.words import WORDS
from kindred.events.decode import decode
from kindred.events.schema import Reason, Record

SIZE = CONTRACT.max_value_bytes
TOPICS = ["interactions", "users", "items"]
BASE = {
    "event_id": "e1", "user_id": "u1", "item_id": "i1", "type": "watch", "occurred_at": NOW_MS,
    "updated_at": NOW_MS,
}  # fmt: skip
# Measured: a list of `{}` costs most, 27 bytes and 3 calls a byte. What is quadratic would cost thousands.
MOST_MEMORY_PER_BYTE = 40
MOST_CALLS_PER_BYTE = 5


def filled(before: bytes, unit: bytes, after: bytes = b"", size: int = SIZE) -> bytes:
    """As often `unit` as fits."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def within(unit: bytes, after: bytes = b"", size: int = SIZE) -> bytes:
    """The same as the last field of a record that is right otherwise."""
    return filled(json.dumps(BASE).encode()[:-1] + b', "context": ', unit, after + b"}", size)


def keys(size: int) -> bytes:
    names = b",".join(b'"%x":0' % number for number in range(size // 10))
    return json.dumps(BASE).encode()[:-1] + b', "context": {' + names + b"}}"


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "open brackets": lambda size: filled(b"", b"[", size=size),
    "brackets closed again": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "open objects": lambda size: filled(b"", b'{"a":', size=size),
    "empty objects": lambda size: filled(
        json.dumps(BASE).encode()[:-1] + b', "tags": [', b"{},", b"{}]}", size
    ),
    "empty lists": lambda size: filled(json.dumps(BASE).encode()[:-1] + b', "tags": [', b"[],", b"0]}", size),
    "numbers": lambda size: filled(json.dumps(BASE).encode()[:-1] + b', "tags": [', b"1,", b"1]}", size),
    "distinct keys": keys,
    "the same key": lambda size: filled(b"{", b'"a":0,', b'"a":0}', size),
    "one text": lambda size: within(b"a", b'"', size).replace(b": aa", b': "a', 1),
    "escapes": lambda size: filled(json.dumps(BASE).encode()[:-1] + b', "title": "', b"\\u0041", b'"}', size),
    "lone surrogates": lambda size: filled(
        json.dumps(BASE).encode()[:-1] + b', "a": "', b"\\ud800", b'"}', size
    ),
    "backslashes": lambda size: filled(b'"', b"\\", size=size),
    "quotes": lambda size: filled(b"", b'"', size=size),
    "quotes and brackets": lambda size: filled(b"", b'"[', size=size),
    "digits": lambda size: within(b"9", size=size),
    "digits of a fraction": lambda size: within(b"0", b"1", size).replace(b": 00", b": 0.", 1),
    "an exponent": lambda size: within(b"9", size=size).replace(b": 99", b": 9e", 1),
    "minus signs": lambda size: within(b"-", size=size),
    "spaces": lambda size: filled(b"", b" ", size=size),
    "spaces between": lambda size: filled(b"{", b" ", json.dumps(BASE).encode()[1:], size),
    "NUL": lambda size: filled(b"", b"\0", size=size),
    "a byte order mark": lambda size: filled(b"\xef\xbb\xbf", b"{", size=size),
    "UTF-16": lambda size: json.dumps(BASE | {"title": "a" * (size // 3)}).encode("utf-16"),
    "UTF-32": lambda size: json.dumps(BASE | {"title": "a" * (size // 6)}).encode("utf-32"),
    "four-byte characters": lambda size: filled(
        json.dumps(BASE).encode()[:-1] + b', "title": "', "😀".encode(), b'"}', size
    ),
    "a long id": lambda size: filled(b'{"type": "watch", "occurred_at": 1, "user_id": "', b"u", b'"}', size),
    "a long type": lambda size: filled(b'{"type": "', b"\xc3\xa9", b'"}', size),
    "a long time": lambda size: filled(b'{"type": "watch", "occurred_at": "', b"1", b'"}', size),
    "a long number as a time": lambda size: filled(
        b'{"type": "watch", "occurred_at": ', b"1", b"}", min(size, 4_000)
    ),
}


def calls_of(work: Callable[[], Any]) -> int:
    """Calls of functions, Python's and C's: a measure of work that no busy machine changes."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def peak_of(work: Callable[[], Any]) -> int:
    """Bytes that it held at once, on top of what there was."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_costs_no_more_than_its_size(name: str, topic: str) -> None:
    value = HOSTILE[name](SIZE)
    assert len(value) <= SIZE
    record = Record(topic, 0, 0, NOW_MS, b"u1", value)
    assert peak_of(lambda: decode([record], CONTRACT)) < MOST_MEMORY_PER_BYTE * len(value) + 200_000
    assert calls_of(lambda: decode([record], CONTRACT)) < MOST_CALLS_PER_BYTE * len(value) + 2_000
    a_record(topic)(b"\0" + value)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("name", ["open brackets", "distinct keys", "escapes", "digits", "one text"])
def test_a_megabyte_is_refused_without_being_looked_at(name: str, topic: str) -> None:
    record = Record(topic, 0, 0, NOW_MS, b"k" * 2**20, HOSTILE[name](2**20))
    peak = peak_of(lambda: decode([record], CONTRACT))
    assert [letter.reason for letter in decode([record], CONTRACT).dead_letters] == [Reason.TOO_LARGE]
    assert peak < 10_000


def test_a_megabyte_as_the_key_of_a_tombstone_is_refused() -> None:
    for topic in ("users", "items"):
        a_record(topic)(bytes([HAS_KEY | IS_TOMBSTONE]) + b"\xff" + b"k" * 255)
        record = Record(topic, 0, 0, NOW_MS, b"k" * 2**20, None)
        (letter,) = decode([record], CONTRACT).dead_letters
        assert (letter.reason, len(letter.detail) < 300) == (Reason.INVALID_ID, True)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A record that was right, with pieces cut out, doubled and put in."""
    fields = BASE | {"title": "é", "context": {"a": [1, None]}, "tags": ["x", 2.5]}
    value = bytearray(json.dumps(fields, ensure_ascii=draw(st.booleans())).encode())
    pieces = st.sampled_from(WORDS) | st.binary(max_size=4)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(value)))
        end = start + draw(st.integers(0, 12))
        value[start:end] = draw(pieces) * draw(st.sampled_from([1, 1, 2, 40]))
    flags = draw(st.sampled_from([0, HAS_KEY, HAS_TIME, HAS_KEY | HAS_TIME, HAS_KEY | IS_TOMBSTONE]))
    time = draw(st.integers(-(2**63), 2**63 - 1) | st.just(NOW_MS)).to_bytes(8, "big", signed=True)
    key = draw(st.binary(max_size=8))
    return (
        bytes([flags])
        + (time if flags & HAS_TIME else b"")
        + (bytes([len(key)]) + key if flags & HAS_KEY else b"")
        + bytes(value)
    )


# On a fresh machine the first draw of a character builds Hypothesis' tables, which takes seconds.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(TOPICS), damaged())
def test_a_damaged_record_is_an_event_of_the_contract_or_a_letter_that_can_be_kept(
    topic: str, data: bytes
) -> None:
    a_record(topic)(data)
