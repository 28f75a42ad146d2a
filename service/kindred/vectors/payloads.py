"""Payloads of users, items and tombstones, exactly as docs/queries.md publishes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kindred.declaration import Declaration, Feature, Kind
from kindred.history.window import Histories, Item

Payload = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def user_payloads(
    declaration: Declaration,
    model: str,
    histories: Histories,
    seen: Sequence[Sequence[int | str]],
    revision: int,
    embedded_at_us: int,
) -> Iterator[Payload]:
    """One payload a user. `seen`: point ids of the items that recommendations leave out."""
    attributes = _filterable(declaration.user)
    embedded_at = rfc3339(embedded_at_us)
    users = zip(
        histories.user_ids,
        histories.profiles,
        histories.history_lengths,
        histories.last_event_at_us,
        seen,
        strict=True,
    )
    for user_id, profile, history_length, last_event_at_us, seen_items in users:
        yield {
            **{name: profile[name] for name in attributes if name in profile},
            "user_id": user_id,
            "revision": revision,
            "model": model,
            "history_length": history_length,
            "last_event_at": None if last_event_at_us is None else rfc3339(last_event_at_us),
            "embedded_at": embedded_at,
            "cold_start": last_event_at_us is None,
            "seen_items": seen_items,
        }


def item_payload(declaration: Declaration, model: str, item: Item, revision: int) -> Payload:
    """Filterable features, declared payload fields, and what Kindred adds. The latter's names win."""
    described = item.attributes or {}
    return {
        **{name: described[name] for name in _filterable(declaration.item) if name in described},
        **payload_fields(declaration, item),
        "item_id": item.item_id,
        "revision": revision,
        "model": model,
        "title": item.title,
        "popularity": item.popularity,
    }


def payload_fields(declaration: Declaration, item: Item) -> Payload:
    """The declared payload fields; null where the description lacks one, so that a change can remove it."""
    described = item.attributes or {}
    return {name: described.get(name) for name in declaration.payload}


def tombstone(id_field: str, external_id: str, revision: int, erased_at_us: int | None = None) -> Payload:
    """What is left of an erased user or a removed item."""
    payload = {id_field: external_id, "revision": revision, "erased": True}
    return payload if erased_at_us is None else payload | {"erased_at": rfc3339(erased_at_us)}


def rfc3339(time_us: int) -> str:
    """Microseconds since the Unix epoch as Qdrant's datetime, in UTC."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()


def _filterable(features: Mapping[str, Feature]) -> list[str]:
    return [name for name, feature in features.items() if feature.filter and feature.kind is not Kind.VECTOR]
