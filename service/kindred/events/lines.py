"""Files of events: JSON lines, each the plain value as on its topic, all topics in one file.

A line's topic shows in its fields: one with `event_id` is an interaction, one with `item_id` an item,
one with `user_id` a profile. A tombstone has no value on its topic, so a line spells it out:
`{"user_id": "u1", "deleted": true}` or `{"item_id": "i1", "deleted": true}`.
`.gz` files are unpacked, `-` is standard input, empty lines are skipped.
"""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kindred.errors import Misconfigured
from kindred.events.decode import Event, decode_one
from kindred.events.fields import identifier
from kindred.events.json_text import parse_object
from kindred.events.rejected import Rejected
from kindred.events.schema import Contract, Reason, Record

OnBadLine = Callable[[int, Reason, str], None]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(
    path: Path | str, contract: Contract, *, timestamp_ms: int | None = None, on_bad: OnBadLine | None = None
) -> Iterator[Event]:
    """The events of a file, in its order, checked as `decode` checks them.

    A bad line raises Misconfigured with file, line and reason; with `on_bad`, that is called with line
    number, reason and detail instead, and the line is skipped. `timestamp_ms` as in `read_records`.
    """
    for record in read_records(path, contract, timestamp_ms=timestamp_ms, on_bad=on_bad):
        try:
            yield decode_one(record, contract)
        except Rejected as rejected:
            _report(path, record.offset, rejected, on_bad)


def read_records(
    path: Path | str, contract: Contract, *, timestamp_ms: int | None = None, on_bad: OnBadLine | None = None
) -> Iterator[Record]:
    """The lines of a file as records to produce, keyed by user or item id; `offset` is the line number.

    Only what shows the topic is checked: an object with an id. `timestamp_ms` stands for the record's
    own timestamp (default: now), the time of a tombstone and the limit for times ahead.
    """
    now_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            value = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).strip()
            if not value:
                continue
            try:
                yield _record(value, number, now_ms, contract)
            except Rejected as rejected:
                _report(path, number, rejected, on_bad)


def _record(value: bytes, number: int, timestamp_ms: int, contract: Contract) -> Record:
    if len(value) > contract.max_value_bytes:
        raise Rejected(Reason.TOO_LARGE, f"{len(value)} bytes; {contract.max_value_bytes} are allowed")
    fields = parse_object(value)
    topic, id_field = _topic(fields, contract)
    key = identifier(fields, id_field).encode()
    is_tombstone = fields.get("deleted") is True and topic != contract.interactions_topic
    return Record(topic, 0, number, timestamp_ms, key, None if is_tombstone else value)


def _topic(fields: Mapping[str, Any], contract: Contract) -> tuple[str, str]:
    """Topic of a value, and the field that is its key."""
    if "event_id" in fields:
        return contract.interactions_topic, "user_id"
    if "item_id" in fields:
        return contract.items_topic, "item_id"
    if "user_id" in fields:
        return contract.users_topic, "user_id"
    raise Rejected(Reason.MISSING_FIELD, "none of event_id, item_id and user_id is there")


def _report(path: Path | str, number: int, rejected: Rejected, on_bad: OnBadLine | None) -> None:
    if on_bad is None:
        raise Misconfigured(f"{path}, line {number}: {rejected.detail} ({rejected.reason}).") from None
    on_bad(number, rejected.reason, rejected.detail)


@contextmanager
def _opened(path: Path | str) -> Iterator[IO[bytes]]:
    """The file for reading, its own faults turned into Misconfigured."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    opened: Callable[..., IO[bytes]] = gzip.open if str(path).endswith(".gz") else open  # type: ignore[assignment]
    try:
        with opened(path, "rb") as lines:
            yield lines
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"The events file {path} cannot be read: {error}.") from error
