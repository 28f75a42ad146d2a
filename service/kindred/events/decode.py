"""Records to events: pure, a whole batch at a time. docs/events.md is the contract in prose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kindred.events.descriptions import to_description, to_erasure, to_profile, to_removal
from kindred.events.interactions import to_interaction
from kindred.events.json_text import parse_object
from kindred.events.rejected import Rejected
from kindred.events.schema import (
    Contract,
    DeadLetter,
    Decoded,
    Erasure,
    Interaction,
    ItemDescription,
    ItemRemoval,
    Profile,
    Reason,
    Record,
)

Event = Interaction | Profile | Erasure | ItemDescription | ItemRemoval


def decode(records: Sequence[Record], contract: Contract) -> Decoded:
    """Every record becomes one event or one dead letter, in the order of the records.

    Raises ValueError for a record of a topic that the contract does not name.
    """
    events: dict[type[Event], list[Any]] = {kind: [] for kind in Event.__args__}
    dead_letters: list[DeadLetter] = []
    for record in records:
        try:
            event = decode_one(record, contract)
        except Rejected as rejected:
            dead_letters.append(DeadLetter(record, rejected.reason, rejected.detail))
        else:
            events[type(event)].append(event)
    return Decoded(
        interactions=events[Interaction],
        profiles=events[Profile],
        erasures=events[Erasure],
        descriptions=events[ItemDescription],
        removals=events[ItemRemoval],
        dead_letters=dead_letters,
    )


def decode_one(record: Record, contract: Contract) -> Event:
    """The event in one record. Raises Rejected, with the reason."""
    if record.value is None:
        return _tombstone(record, contract)
    if len(record.value) > contract.max_value_bytes:
        detail = f"{len(record.value)} bytes; {contract.max_value_bytes} are allowed"
        raise Rejected(Reason.TOO_LARGE, detail)
    fields = parse_object(record.value)
    if record.topic == contract.interactions_topic:
        return to_interaction(fields, record, contract)
    if record.topic == contract.users_topic:
        return to_profile(fields, record, contract)
    if record.topic == contract.items_topic:
        return to_description(fields, record, contract)
    raise ValueError(f"topic {record.topic} is not in the contract")


def _tombstone(record: Record, contract: Contract) -> Event:
    if record.topic == contract.users_topic:
        return to_erasure(record)
    if record.topic == contract.items_topic:
        return to_removal(record)
    raise Rejected(Reason.NOT_JSON, "no value; interactions are never deleted by a tombstone")
