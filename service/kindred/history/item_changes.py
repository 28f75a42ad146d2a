"""What a batch's descriptions and removals make of the items' rows: pure.

Later times win, whatever order they come in; of two descriptions with one time, the higher digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kindred.events.schema import ItemDescription, ItemRemoval


class ItemRow(msgspec.Struct, frozen=True):
    """An item's row in Postgres. `attributes` and `updated_at_us` are None until it is described."""

    item_id: str
    number: int
    title: str | None
    attributes: dict[str, Any] | None
    updated_at_us: int | None
    digest: bytes | None
    removed_at_us: int | None
    revision: int

    @property
    def is_removed(self) -> bool:
        if self.removed_at_us is None:
            return False
        return self.updated_at_us is None or self.updated_at_us <= self.removed_at_us


@dataclass(slots=True)
class Changes:
    """Rows to write; ids of which Qdrant needs the payload only; numbers whose holders must be swept."""

    rows: list[ItemRow] = field(default_factory=list)
    payload_only: set[str] = field(default_factory=set)
    swept: list[int] = field(default_factory=list)


def changes(
    before: Mapping[str, ItemRow],
    descriptions: Sequence[ItemDescription],
    removals: Sequence[ItemRemoval],
    revision: int,
    features: frozenset[str],
) -> Changes:
    """`before` holds every item that is named; `features` are the attributes that a tower reads."""
    described, removed = _newest(descriptions), _latest(removals)
    times_described = Counter(description.item_id for description in descriptions)
    found = Changes()
    for item_id in {**described, **removed}:
        old = before[item_id]
        new = _described(_removed(old, removed.get(item_id)), described.get(item_id))
        # Written even when nothing is newer: that repairs what a crash left unwritten in Qdrant.
        found.rows.append(new)
        if _read_by_towers(new, features) != _read_by_towers(old, features):
            if old.revision != revision:  # made by an earlier transaction: somebody's window may hold it
                found.swept.append(old.number)
        # Described twice, it may come from a crash after the first, whose vector nobody has written.
        elif times_described[item_id] == 1 and _differs_in_payload_only(old, new):
            found.payload_only.add(item_id)
    return found


def _newest(descriptions: Sequence[ItemDescription]) -> dict[str, ItemDescription]:
    newest: dict[str, ItemDescription] = {}
    for each in descriptions:
        known = newest.get(each.item_id)
        if known is None or (known.updated_at_us, known.digest) < (each.updated_at_us, each.digest):
            newest[each.item_id] = each
    return newest


def _latest(removals: Sequence[ItemRemoval]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for each in removals:
        latest[each.item_id] = max(latest.get(each.item_id, each.removed_at_us), each.removed_at_us)
    return latest


def _removed(row: ItemRow, removed_at_us: int | None) -> ItemRow:
    if removed_at_us is None or (row.removed_at_us is not None and row.removed_at_us >= removed_at_us):
        return row
    return msgspec.structs.replace(row, removed_at_us=removed_at_us)


def _described(row: ItemRow, description: ItemDescription | None) -> ItemRow:
    if description is None:
        return row
    newest = (description.updated_at_us, description.digest)
    if row.updated_at_us is not None and (row.updated_at_us, row.digest or b"") >= newest:
        return row
    return msgspec.structs.replace(
        row,
        title=description.title,
        attributes=msgspec.json.decode(description.attributes),
        updated_at_us=description.updated_at_us,
        digest=description.digest,
    )


def _read_by_towers(row: ItemRow, features: frozenset[str]) -> dict[str, Any] | str | None:
    """A removed item is unknown, whatever it was; None while it was never described."""
    if row.is_removed:
        return "removed"
    if row.attributes is None:
        return None
    read = {name: value for name, value in row.attributes.items() if name in features}
    return read | ({"title": row.title} if "title" in features else {})


def _differs_in_payload_only(old: ItemRow, new: ItemRow) -> bool:
    # A title is no declared payload field: it is written with the vector.
    return not new.is_removed and new.digest != old.digest and new.title == old.title
