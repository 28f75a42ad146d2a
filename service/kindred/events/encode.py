"""Events to the key and value of their record: the inverse of `decode`, for whoever produces."""

from __future__ import annotations

from typing import Any

import msgspec

from kindred.events.decode import Event
from kindred.events.schema import (
    Contract,
    Erasure,
    Interaction,
    ItemDescription,
    ItemRemoval,
    Profile,
)
from kindred.events.times import to_text


def topic_of(event: Event, contract: Contract) -> str:
    """Name of the topic that this event belongs on."""
    if isinstance(event, Interaction):
        return contract.interactions_topic
    if isinstance(event, (Profile, Erasure)):
        return contract.users_topic
    return contract.items_topic


def key_of(event: Event) -> bytes:
    """Key of the record: the item id on the items topic, else the user id."""
    if isinstance(event, (ItemDescription, ItemRemoval)):
        return event.item_id.encode()
    return event.user_id.encode()


def value_of(event: Event) -> bytes | None:
    """Value of the record as JSON; None, a tombstone, for an erasure or removal."""
    if isinstance(event, (Erasure, ItemRemoval)):
        return None
    return msgspec.json.encode(_fields(event))


def to_line(event: Event) -> str:
    """One line of a file that `kindred produce` reads; a tombstone is spelled as `"deleted": true`."""
    if isinstance(event, Erasure):
        return msgspec.json.encode({"user_id": event.user_id, "deleted": True}).decode()
    if isinstance(event, ItemRemoval):
        return msgspec.json.encode({"item_id": event.item_id, "deleted": True}).decode()
    return msgspec.json.encode(_fields(event)).decode()


def _fields(event: Interaction | Profile | ItemDescription) -> dict[str, Any]:
    if isinstance(event, Interaction):
        return _interaction(event)
    if isinstance(event, Profile):
        own = {"user_id": event.user_id, "updated_at": to_text(event.updated_at_us)}
        return own | _parts(event.attributes)
    own = {"item_id": event.item_id, "updated_at": to_text(event.updated_at_us)}
    title = {} if event.title is None else {"title": event.title}
    return own | title | _parts(event.attributes)


def _interaction(event: Interaction) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "type": event.type,
        "occurred_at": to_text(event.occurred_at_us),
    }
    if event.value is not None:
        fields["value"] = event.value
    if event.context is not None:
        fields["context"] = msgspec.Raw(event.context.encode())
    return fields


def _parts(attributes: str) -> dict[str, msgspec.Raw]:
    """Attributes with their JSON text as it is, so that no number is rewritten."""
    return msgspec.json.decode(attributes, type=dict[str, msgspec.Raw])
