"""Files of events: each line finds its topic, and a bad one is named by file and line."""

import gzip
import io
import json
import sys

import pytest

from kindred.errors import Misconfigured
from kindred.events.encode import key_of, to_line, topic_of, value_of
from kindred.events.lines import read_lines, read_records
from kindred.events.schema import (
    Contract,
    Erasure,
    Interaction,
    ItemDescription,
    ItemRemoval,
    Profile,
    Reason,
)

NOW_MS = 1_770_000_000_000
NOW_US = NOW_MS * 1_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch"}))
LINES = [
    {"item_id": 7, "updated_at": NOW_MS, "title": "Alien", "genres": ["horror"]},
    {"user_id": "å", "updated_at": NOW_MS, "country": "SE"},
    {"event_id": "e1", "user_id": "å", "item_id": 7, "type": "watch", "occurred_at": NOW_MS},
    {"user_id": "å", "deleted": True},
    {"item_id": 7, "deleted": True},
]


@pytest.fixture
def events_file(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\n")
    return path


def test_each_line_becomes_the_event_of_its_topic(events_file):
    events = list(read_lines(events_file, CONTRACT, timestamp_ms=NOW_MS))
    assert [type(event) for event in events] == [
        ItemDescription,
        Profile,
        Interaction,
        Erasure,
        ItemRemoval,
    ]
    assert events[3] == Erasure("å", NOW_US)


def test_records_are_keyed_by_user_or_item_and_numbered_by_line(events_file):
    records = list(read_records(events_file, CONTRACT, timestamp_ms=NOW_MS))
    assert [record.topic for record in records] == ["items", "users", "interactions", "users", "items"]
    assert [record.key for record in records] == [b"7", "å".encode(), "å".encode(), "å".encode(), b"7"]
    assert [record.offset for record in records] == [1, 2, 3, 4, 5]
    assert [record.value is None for record in records] == [False, False, False, True, True]


def test_events_written_as_lines_read_back_the_same(events_file, tmp_path):
    events = list(read_lines(events_file, CONTRACT, timestamp_ms=NOW_MS))
    again = tmp_path / "again.jsonl"
    again.write_text("".join(to_line(event) + "\n" for event in events))
    assert list(read_lines(again, CONTRACT, timestamp_ms=NOW_MS)) == events


def test_encoded_events_equal_the_records_of_their_lines(events_file):
    events = read_lines(events_file, CONTRACT, timestamp_ms=NOW_MS)
    records = read_records(events_file, CONTRACT, timestamp_ms=NOW_MS)
    for event, record in zip(events, records, strict=True):
        assert topic_of(event, CONTRACT) == record.topic
        assert key_of(event) == record.key
        assert (value_of(event) is None) == (record.value is None)


def test_compressed_files_and_standard_input_read_the_same(events_file, tmp_path, monkeypatch):
    expected = list(read_lines(events_file, CONTRACT, timestamp_ms=NOW_MS))
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(events_file.read_bytes()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(events_file.read_bytes())))
    assert list(read_lines(packed, CONTRACT, timestamp_ms=NOW_MS)) == expected
    assert list(read_lines("-", CONTRACT, timestamp_ms=NOW_MS)) == expected


def test_empty_lines_carriage_returns_and_a_byte_order_mark_are_no_fault(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(LINES[1]).encode() + b"\r\n\r\n\n")
    assert len(list(read_lines(path, CONTRACT, timestamp_ms=NOW_MS))) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "not JSON"),
        ('{"name": "x"}', "none of event_id, item_id and user_id"),
        ('{"user_id": "u1"}', "updated_at is missing"),
        ('{"user_id": "", "deleted": true}', "user_id is empty"),
        ('{"user_id": "u1", "x": "' + "x" * 70_000 + '"}', "65536 are allowed"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_reason(tmp_path, line, message):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\n" + line)
    with pytest.raises(Misconfigured, match=rf"events\.jsonl, line 2: .*{message}"):
        list(read_lines(path, CONTRACT, timestamp_ms=NOW_MS))


def test_bad_lines_may_be_skipped_and_counted(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{\n{"user_id": "u1"}\n' + json.dumps(LINES[0]))
    skipped = []
    events = list(
        read_lines(path, CONTRACT, timestamp_ms=NOW_MS, on_bad=lambda *fault: skipped.append(fault[:2]))
    )
    assert len(events) == 1
    assert skipped == [(1, Reason.NOT_JSON), (2, Reason.MISSING_FIELD)]


def test_a_file_that_is_not_there_or_no_gzip_is_one_sentence(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        list(read_lines(tmp_path / "none.jsonl", CONTRACT))
    broken = tmp_path / "broken.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(Misconfigured, match="cannot be read"):
        list(read_lines(broken, CONTRACT))
