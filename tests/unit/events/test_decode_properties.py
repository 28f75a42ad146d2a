"""What holds for every input: nothing escapes, good events survive, and both parsers agree."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kindred.events import json_text
from kindred.events.decode import decode
from kindred.events.rejected import Rejected
from kindred.events.schema import Contract, Interaction, Record
from kindred.events.times import to_text

NOW_MS = 1_770_000_000_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch", "like"}))
FIELDS = ["event_id", "user_id", "item_id", "type", "occurred_at", "updated_at", "value", "context", "title"]

storable = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ids = st.text(storable, min_size=1, max_size=64)
numbers = st.integers() | st.floats()
scalars = st.none() | st.booleans() | numbers | st.text(st.characters(), max_size=8)
anything = st.recursive(scalars, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
contexts = st.dictionaries(st.text(storable), st.booleans() | finite | st.integers() | st.text(storable))


# On a fresh machine the first draw of a character builds Hypothesis' tables, which takes seconds.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def interactions(draw):
    time_ms = draw(st.integers(-62_135_596_800_000, NOW_MS + 300_000))
    context = draw(st.none() | contexts)
    return Interaction(
        draw(ids),
        draw(ids),
        draw(ids),
        draw(st.sampled_from(["watch", "like"])),
        time_ms * 1_000,
        draw(st.none() | finite),
        None if context is None else json_text.canonical(context),
        NOW_MS * 1_000,
    )


def as_record(event, ensure_ascii=False):
    fields = {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "type": event.type,
        "occurred_at": to_text(event.occurred_at_us),
        "value": event.value,
        "context": None if event.context is None else json.loads(event.context),
    }
    value = json.dumps(fields, ensure_ascii=ensure_ascii).encode()
    return Record("interactions", 0, 0, NOW_MS, event.user_id.encode(), value)


def events_in(decoded):
    return sum(
        len(events)
        for events in (
            decoded.interactions,
            decoded.profiles,
            decoded.erasures,
            decoded.descriptions,
            decoded.removals,
        )
    )


topics = st.sampled_from(["interactions", "users", "items"])
near_events = st.dictionaries(st.sampled_from(FIELDS), anything).map(lambda value: json.dumps(value).encode())
values = st.none() | st.binary() | near_events
records = st.builds(
    Record, topics, st.just(0), st.just(0), st.integers(-1, 2**63 - 1), st.none() | st.binary(), values
)


@unhurried
@given(st.lists(records, max_size=5))
def test_every_record_becomes_one_event_or_one_dead_letter(batch):
    decoded = decode(batch, CONTRACT)
    assert events_in(decoded) + len(decoded.dead_letters) == len(batch)


@unhurried
@given(interactions(), st.booleans())
def test_valid_interactions_decode_to_themselves(event, ensure_ascii):
    decoded = decode([as_record(event, ensure_ascii)], CONTRACT)
    assert decoded.dead_letters == []
    assert decoded.interactions == [event]


@unhurried
@given(st.lists(interactions(), max_size=5), records, st.integers(0, 5))
def test_one_record_among_good_ones_disturbs_nothing(good, other, position):
    batch = [as_record(event) for event in good]
    batch.insert(position, other)
    alone = decode([other], CONTRACT).interactions
    decoded = decode(batch, CONTRACT)
    assert [event for event in decoded.interactions if event not in alone] == [
        event for event in good if event not in alone
    ]


@unhurried
@given(near_events | st.binary() | anything.map(lambda value: json.dumps(value).encode()))
@example(b'{"a":1,"a" :1}')
@example(b'{"a":"\\":","a":1}')
@example(b'{"a":1e400}')
@example(b'{"a":-0,"b":-0.0,"c":1E5}')
@example(b'{"a":1.7976931348623157e308,"b":1.8e308}')
@example(b'{"a":' + b"9" * 309 + b"}")
@example(b'{"a":"\x7f"}')
def test_the_quick_parser_accepts_only_what_the_strict_one_accepts_with_the_same_result(value):
    quick = json_text._parse_plain(value)
    if quick is not None:
        assert repr(quick) == repr(json_text._parse_any(value))


@unhurried
@given(contexts)
def test_canonical_text_is_the_same_for_every_order_of_keys(value):
    text = json_text.canonical(value)
    assert json.loads(text) == value
    assert json_text.canonical(dict(reversed(value.items()))) == text


@unhurried
@given(st.binary() | st.text().map(str.encode))
def test_parse_object_raises_nothing_but_rejected(value):
    try:
        parsed = json_text.parse_object(value)
    except Rejected:
        return
    assert type(parsed) is dict


def test_the_usual_event_takes_the_quick_path():
    value = b'{"event_id": "e1", "occurred_at": "2026-01-01T00:00:00Z", "context": {"slots": [1, "a"]}}'
    assert json_text._parse_plain(value) == json.loads(value)


@pytest.mark.parametrize("value", [b'{"a":"\\n"}', b'{"a":1,"a":2}', b"[" * 50])
def test_what_needs_a_closer_look_is_left_to_the_strict_parser(value):
    assert json_text._parse_plain(value) is None
