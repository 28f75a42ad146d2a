"""A value of the interactions topic, parsed, as an Interaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kindred.events.fields import identifier, optional_number, optional_object, wrong
from kindred.events.rejected import Rejected, shown
from kindred.events.schema import Contract, Interaction, Reason, Record
from kindred.events.times import not_ahead, to_us


def to_interaction(fields: Mapping[str, Any], record: Record, contract: Contract) -> Interaction:
    """Unknown fields are ignored. Raises Rejected."""
    # First of all: an event type that another team deployed early may have other fields as well.
    event_type = _event_type(fields, contract)
    occurred_at_us = to_us(fields.get("occurred_at"), "occurred_at")
    return Interaction(
        identifier(fields, "event_id"),
        identifier(fields, "user_id"),
        identifier(fields, "item_id"),
        event_type,
        _timely(occurred_at_us, record, contract),
        optional_number(fields, "value"),
        optional_object(fields, "context"),
        record.timestamp_ms * 1000,
    )


def _timely(occurred_at_us: int, record: Record, contract: Contract) -> int:
    if contract.floor_us is not None and occurred_at_us < contract.floor_us:
        raise Rejected(Reason.TOO_OLD, "occurred_at is before the retention of the log")
    return not_ahead(occurred_at_us, record, contract.max_skew_us, "occurred_at")


def _event_type(fields: Mapping[str, Any], contract: Contract) -> str:
    event_type = fields.get("type")
    if type(event_type) is not str:
        raise wrong(event_type, "type", "text")
    if event_type not in contract.event_types:
        raise Rejected(Reason.UNKNOWN_TYPE, f"type {shown(event_type)} is not declared")
    return event_type
