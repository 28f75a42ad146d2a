"""Values and tombstones of the users and items topics: profiles, item descriptions, and their ends."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from kindred.events.fields import checked_id, identifier, optional_text
from kindred.events.json_text import canonical
from kindred.events.rejected import Rejected
from kindred.events.schema import (
    Contract,
    Erasure,
    ItemDescription,
    ItemRemoval,
    Profile,
    Reason,
    Record,
)
from kindred.events.times import not_ahead, of_record, to_us

_SCALARS = frozenset({str, int, float, bool})


def to_profile(fields: Mapping[str, Any], record: Record, contract: Contract) -> Profile:
    """Every field but `user_id` and `updated_at` is an attribute. Raises Rejected."""
    user_id = identifier(fields, "user_id")
    updated_at_us = _updated_at_us(fields, record, contract)
    return profile(user_id, updated_at_us, _attributes(fields, {"user_id", "updated_at"}))


def to_description(fields: Mapping[str, Any], record: Record, contract: Contract) -> ItemDescription:
    """Every field but `item_id`, `updated_at` and `title` is an attribute. Raises Rejected."""
    item_id = identifier(fields, "item_id")
    updated_at_us = _updated_at_us(fields, record, contract)
    title = optional_text(fields, "title")
    attributes = _attributes(fields, {"item_id", "updated_at", "title"})
    return description(item_id, updated_at_us, title, attributes)


def profile(user_id: str, updated_at_us: int, attributes: Mapping[str, Any]) -> Profile:
    """A profile with its attributes in canonical form, and their digest."""
    text = canonical(attributes)
    return Profile(user_id, updated_at_us, text, sha256(text.encode()).digest())


def description(
    item_id: str, updated_at_us: int, title: str | None, attributes: Mapping[str, Any]
) -> ItemDescription:
    """An item's description with its attributes in canonical form; the digest covers the title too."""
    text = canonical(attributes)
    digest = sha256(f"[{canonical(title)},{text}]".encode()).digest()
    return ItemDescription(item_id, updated_at_us, title, text, digest)


def to_erasure(record: Record) -> Erasure:
    """The user whose id is the key of a tombstone. Raises Rejected."""
    return Erasure(_key(record, "user"), of_record(record))


def to_removal(record: Record) -> ItemRemoval:
    """The item whose id is the key of a tombstone. Raises Rejected."""
    return ItemRemoval(_key(record, "item"), of_record(record))


def _updated_at_us(fields: Mapping[str, Any], record: Record, contract: Contract) -> int:
    updated_at_us = to_us(fields.get("updated_at"), "updated_at")
    return not_ahead(updated_at_us, record, contract.max_skew_us, "updated_at")


def _attributes(fields: Mapping[str, Any], others: set[str]) -> dict[str, Any]:
    """Scalars and lists of scalars. Nulls mean unknown and objects are no attributes: both are left out."""
    kept = {name: _attribute(value) for name, value in fields.items() if name not in others}
    return {name: value for name, value in kept.items() if value is not None}


def _attribute(value: object) -> object:
    if type(value) is list:
        present = [part for part in value if part is not None]
        return present if all(type(part) in _SCALARS for part in present) else None
    return value if type(value) in _SCALARS else None


def _key(record: Record, kind: str) -> str:
    name = f"the key of a tombstone, the {kind} id,"
    if record.key is None:
        raise Rejected(Reason.MISSING_FIELD, f"{name} is missing")
    try:
        key = record.key.decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.INVALID_UTF8, f"{name} is not UTF-8 from byte {error.start} on") from None
    if "\0" in key:
        raise Rejected(Reason.INVALID_ID, f"{name} holds a NUL character")
    return checked_id(key, name)
