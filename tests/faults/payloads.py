"""What points must show, by the published contract; and their ids, computed as another service would."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from faults.expected import ExpectedItem
from faults.life import Life
from faults.reading import EPOCH
from kindred.declaration import Declaration, Feature, Kind

NAMESPACE = UUID("d4e67d07-9d47-4eeb-8567-28a0800ccbc6")


def point_id(external_id: str) -> int | str:
    if re.fullmatch("0|[1-9][0-9]*", external_id) and int(external_id) < 2**53:
        return int(external_id)
    return str(uuid5(NAMESPACE, external_id))


def user_payload(declaration: Declaration, life: Life, user_id: str, limit: int) -> dict[str, Any]:
    """All but what is of the write: model, revision and embedded_at."""
    if life.is_erased:
        return {"user_id": user_id, "erased": True, "erased_at": _text(life.erased_at_us or 0)}
    history = life.history()
    seen = [event.item_id for event in history[-limit:] if declaration.events[event.type].seen]
    profile = life.profile.attributes if life.profile else {}
    return {
        **_filterable(declaration.user, profile),
        "user_id": user_id,
        "history_length": len(history),
        "last_event_at": _text(history[-1].occurred_at_us) if history else None,
        "cold_start": not history,
        "seen_items": [point_id(item_id) for item_id in dict.fromkeys(seen)],
    }


def item_payload(declaration: Declaration, item: ExpectedItem, item_id: str) -> dict[str, Any]:
    """All but model, revision and popularity."""
    if item.is_removed:
        return {"item_id": item_id, "erased": True}
    attributes = item.description.attributes if item.description else {}
    return {
        **_filterable(declaration.item, attributes),
        **{name: attributes.get(name) for name in declaration.payload},
        "item_id": item_id,
        "title": item.description.title if item.description else None,
    }


def _filterable(declared: dict[str, Feature], attributes: dict[str, Any]) -> dict[str, Any]:
    shown = {name for name, feature in declared.items() if feature.filter and feature.kind is not Kind.VECTOR}
    return {name: value for name, value in attributes.items() if name in shown}


def _text(time_us: int) -> str:
    return (EPOCH + timedelta(microseconds=time_us)).isoformat()
