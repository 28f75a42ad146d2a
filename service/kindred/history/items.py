"""Items inside a batch's transaction: numbers for new ids, descriptions, removals, the cursor.

Who writes items holds the item lock until the commit, so revisions of items become visible in order and
one cursor tells all that has changed: two workers never embed one history with different content for
longer than a transaction (rule 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kindred.events.schema import ItemDescription, ItemRemoval
from kindred.history import statements as sql
from kindred.history.connection import Connection
from kindred.history.window import Item


@dataclass(frozen=True, slots=True)
class ItemWrites:
    """Item ids of a batch, by what Qdrant must hear of them."""

    embed: frozenset[str] = frozenset()
    payload_only: frozenset[str] = frozenset()


class Catalogue:
    """Every item by id and number, as of `cursor`: the highest item revision that was read.

    Owned by one store. Changed only by `advance`, after the transaction that read has committed.
    """

    def __init__(self) -> None:
        self.cursor = -1
        self.by_id: dict[str, Item] = {}

    def advance(self, changed: Iterable[Item]) -> None:
        for item in changed:
            self.by_id[item.item_id] = item
            self.cursor = max(self.cursor, item.revision)


def read_changed(connection: Connection, cursor: int) -> list[Item]:
    """Items above the cursor."""
    rows = connection.cursor(binary=True).execute(sql.READ_CHANGED_ITEMS, {"cursor": cursor})
    return [Item(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Row:
    """An item's row as this transaction will leave it."""

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
        return self.removed_at_us is not None and (self.updated_at_us or -1) <= self.removed_at_us


@dataclass(slots=True)
class _Changes:
    rows: list[_Row] = field(default_factory=list)
    payload_only: set[str] = field(default_factory=set)
    swept: list[int] = field(default_factory=list)


def write(
    connection: Connection,
    named: Sequence[str],
    descriptions: Sequence[ItemDescription],
    removals: Sequence[ItemRemoval],
    revision: int,
    features: frozenset[str],
) -> ItemWrites:
    """Create the missing items, apply what is newer, ask for sweeps. Needs the item lock.

    `named` are all ids of this batch that the catalogue lacks, described or removed. A description
    that changes none of `features` needs no embedding, and reaches nobody's vector.
    """
    connection.execute(sql.INSERT_MISSING_ITEMS, {"item_ids": list(named), "revision": revision})
    cursor = connection.cursor(binary=True).execute(sql.LOCK_ITEMS, {"item_ids": list(named)})
    before = {row.item_id: row for row in (_Row(*values) for values in cursor)}
    changes = _changes(before, _newest(descriptions), _latest(removals), revision, features)
    _write_rows(connection, changes.rows, revision)
    if changes.swept:
        connection.execute(sql.REQUEST_SWEEP, {"numbers": changes.swept, "revision": revision})
    created = {item_id for item_id, row in before.items() if row.revision == revision}
    mentioned = {d.item_id for d in descriptions} | {r.item_id for r in removals} | created
    return ItemWrites(frozenset(mentioned - changes.payload_only), frozenset(changes.payload_only))


def _newest(descriptions: Sequence[ItemDescription]) -> dict[str, ItemDescription]:
    newest: dict[str, ItemDescription] = {}
    for description in descriptions:
        known = newest.get(description.item_id)
        if known is None or (known.updated_at_us, known.digest) < (
            description.updated_at_us,
            description.digest,
        ):
            newest[description.item_id] = description
    return newest


def _latest(removals: Sequence[ItemRemoval]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for removal in removals:
        latest[removal.item_id] = max(
            latest.get(removal.item_id, removal.removed_at_us), removal.removed_at_us
        )
    return latest


def _changes(
    before: dict[str, _Row],
    descriptions: dict[str, ItemDescription],
    removals: dict[str, int],
    revision: int,
    features: frozenset[str],
) -> _Changes:
    changes = _Changes()
    for item_id in {**descriptions, **removals}:
        old = before[item_id]
        new = _described(_removed(old, removals.get(item_id)), descriptions.get(item_id))
        # Rewritten even when nothing is newer: that repairs what a crash left unwritten in Qdrant.
        changes.rows.append(new)
        if new is old or new.is_removed or old.is_removed:
            continue
        if _features(new, features) != _features(old, features):
            if old.revision != revision:  # somebody's window may hold it
                changes.swept.append(old.number)
        elif old.attributes is not None and new.digest != old.digest:
            changes.payload_only.add(item_id)
    return changes


def _removed(row: _Row, removed_at_us: int | None) -> _Row:
    if removed_at_us is None or (row.removed_at_us or -1) >= removed_at_us:
        return row
    return _replace(row, removed_at_us=removed_at_us)


def _described(row: _Row, description: ItemDescription | None) -> _Row:
    if description is None:
        return row
    known = (-1 if row.updated_at_us is None else row.updated_at_us, row.digest or b"")
    if known >= (description.updated_at_us, description.digest):
        return row
    return _replace(
        row,
        title=description.title,
        attributes=msgspec.json.decode(description.attributes),
        updated_at_us=description.updated_at_us,
        digest=description.digest,
    )


def _replace(row: _Row, **changes: Any) -> _Row:
    values = {name: getattr(row, name) for name in _Row.__slots__}
    return _Row(**(values | changes))


def _features(row: _Row, features: frozenset[str]) -> dict[str, Any] | None:
    """What a tower reads of the item; None while it was never described."""
    if row.attributes is None:
        return None
    read = {name: value for name, value in row.attributes.items() if name in features}
    return read | ({"title": row.title} if "title" in features else {})


def _write_rows(connection: Connection, rows: Sequence[_Row], revision: int) -> None:
    if not rows:
        return
    connection.execute(
        sql.WRITE_ITEMS,
        {
            "item_ids": [row.item_id for row in rows],
            "titles": [row.title for row in rows],
            "attributes": [_json(row.attributes) for row in rows],
            "updated_at_us": [row.updated_at_us for row in rows],
            "digests": [row.digest for row in rows],
            "removed_at_us": [row.removed_at_us for row in rows],
            "revision": revision,
        },
    )


def _json(attributes: dict[str, Any] | None) -> str | None:
    return None if attributes is None else msgspec.json.encode(attributes).decode()
