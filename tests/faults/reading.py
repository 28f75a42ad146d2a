"""Values of records, read once more in plain Python: what the oracle trusts instead of the decoder.

Only whether a record is an event at all, and the digest that breaks ties, are the decoder's word; its
own tests hold both.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from faults.life import Description, Event
from kindred.events.schema import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event(record: Record) -> Event:
    fields = json.loads(record.value or b"")
    value = fields.get("value")
    return Event(
        user_id=str(fields["user_id"]),
        event_id=str(fields["event_id"]),
        occurred_at_us=time_us(fields["occurred_at"]),
        item_id=str(fields["item_id"]),
        type=fields["type"],
        value=None if value is None else float(value),
        context=fields.get("context"),
        recorded_at_us=record.timestamp_ms * 1000,
    )


def profile(record: Record, digest: bytes) -> tuple[str, Description]:
    fields = json.loads(record.value or b"")
    attributes = _attributes(fields, {"user_id", "updated_at"})
    return str(fields["user_id"]), Description(time_us(fields["updated_at"]), digest, attributes)


def item(record: Record, digest: bytes) -> tuple[str, Description]:
    fields = json.loads(record.value or b"")
    attributes = _attributes(fields, {"item_id", "updated_at", "title"})
    updated_at_us = time_us(fields["updated_at"])
    return str(fields["item_id"]), Description(updated_at_us, digest, attributes, fields.get("title"))


def tombstone(record: Record) -> tuple[str, int]:
    """Whose end it is, and when."""
    return (record.key or b"").decode(), record.timestamp_ms * 1000


def time_us(value: Any) -> int:
    if isinstance(value, str):
        return (datetime.fromisoformat(value.upper()) - EPOCH) // timedelta(microseconds=1)
    return int(value) * 1000


def _attributes(fields: dict[str, Any], others: set[str]) -> dict[str, Any]:
    """Scalars and lists of scalars; nulls and objects are no attributes."""
    kept = {}
    for name in fields.keys() - others:
        value = fields[name]
        if isinstance(value, list):
            value = [part for part in value if part is not None]
            if any(isinstance(part, (list, dict)) for part in value):
                continue
        if value is not None and not isinstance(value, dict):
            kept[name] = value
    return kept
