"""Items inside a batch's transaction: numbers for new ids, descriptions, removals, the cursor.

Who writes items holds the item lock until the commit, so revisions of items become visible in order and
one cursor tells all that has changed: two workers never embed one history with different content for
longer than a transaction (rule 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kindred.events.schema import ItemDescription, ItemRemoval
from kindred.history import columns, popularity
from kindred.history.connection import Connection
from kindred.history.item_changes import ItemRow, changes
from kindred.history.window import Item

INSERT_MISSING = """
INSERT INTO item (item_id, revision)
SELECT item_id, %(revision)s FROM unnest(%(item_ids)s::text[]) AS named (item_id)
WHERE NOT EXISTS (SELECT FROM item i WHERE i.item_id = named.item_id)
ORDER BY item_id COLLATE "C"
ON CONFLICT DO NOTHING
"""
LOCK = """
SELECT item_id, number, title, attributes, (extract(epoch FROM updated_at) * 1e6)::bigint, digest,
       (extract(epoch FROM removed_at) * 1e6)::bigint, revision
FROM item WHERE item_id = ANY(%(item_ids)s::text[]) ORDER BY item_id FOR UPDATE
"""
WRITE = """
UPDATE item i
SET title = n.title, attributes = n.attributes::jsonb, digest = n.digest, revision = %(revision)s,
    updated_at = 'epoch'::timestamptz + n.updated_us * interval '1 microsecond',
    removed_at = 'epoch'::timestamptz + n.removed_us * interval '1 microsecond'
FROM unnest(%(item_ids)s::text[], %(titles)s::text[], %(attributes)s::text[], %(updated_at_us)s::bigint[],
            %(digests)s::bytea[], %(removed_at_us)s::bigint[])
     AS n (item_id, title, attributes, updated_us, digest, removed_us)
WHERE i.item_id = n.item_id
"""
REQUEST_SWEEP = """
INSERT INTO item_sweep (item, revision) SELECT unnest(%(numbers)s::int[]), %(revision)s
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, changed_at = now()
"""
# Item writers commit in revision order (locks.ITEMS), so what is above the cursor is all that is new.
PENDING_ITEMS = """
SELECT id FROM pending_sync WHERE kind = 'item' AND id = ANY(%(item_ids)s::text[])
"""
READ_CHANGED = """
SELECT number, item_id, title, attributes,
       removed_at IS NOT NULL AND (updated_at IS NULL OR updated_at <= removed_at), revision,
       popularity * %(decay)s::float8
FROM item WHERE revision > %(cursor)s ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class ItemWrites:
    """Item ids of a batch, by what Qdrant must hear of them."""

    embed: frozenset[str] = frozenset()
    payload_only: frozenset[str] = frozenset()
    # Made here by a mere interaction. When it is delivered again after a crash, it finds them known; so
    # they wait in pending_sync until they are written.
    seen_first: frozenset[str] = frozenset()


class Catalogue:
    """Every item by id, as of `cursor`: the highest item revision that was read.

    Owned by one store. Changed only by `advance`, after the transaction that read has committed.
    """

    def __init__(self) -> None:
        self.cursor = -1
        self.by_id: dict[str, Item] = {}

    def advance(self, changed: Iterable[Item]) -> None:
        for item in changed:
            self.by_id[item.item_id] = item
            self.cursor = max(self.cursor, item.revision)


def read_changed(connection: Connection, cursor: int, now: datetime, half_life_days: float) -> list[Item]:
    """Items above the cursor, with their popularity as of then."""
    decay = popularity.decay(now, half_life_days)
    rows = connection.cursor(binary=True).execute(READ_CHANGED, {"cursor": cursor, "decay": decay})
    return [Item(*row) for row in rows]


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
    before = _locked(connection, named, revision)
    found = changes(before, descriptions, removals, revision, features)
    _write_rows(connection, found.rows, revision)
    if found.swept:
        connection.execute(REQUEST_SWEEP, {"numbers": found.swept, "revision": revision})
    # Its whole write is still under way: a payload alone, at a higher revision, would fence that out.
    payload_only = found.payload_only - _pending(connection, found.payload_only)
    mentioned = {d.item_id for d in descriptions} | {r.item_id for r in removals}
    created = {item_id for item_id, row in before.items() if row.revision == revision}
    return ItemWrites(
        embed=frozenset((mentioned | created) - payload_only),
        payload_only=frozenset(payload_only),
        seen_first=frozenset(created - mentioned),
    )


def _locked(connection: Connection, named: Sequence[str], revision: int) -> dict[str, ItemRow]:
    item_ids = columns.texts(named)
    connection.execute(INSERT_MISSING, {"item_ids": item_ids, "revision": revision})
    cursor = connection.cursor(binary=True).execute(LOCK, {"item_ids": item_ids})
    return {row.item_id: row for row in (ItemRow(*values) for values in cursor)}


def _write_rows(connection: Connection, rows: Sequence[ItemRow], revision: int) -> None:
    if not rows:
        return
    parameters = {
        "item_ids": columns.texts([row.item_id for row in rows]),
        "titles": columns.texts([row.title for row in rows]),
        "attributes": columns.texts([_json(row.attributes) for row in rows]),
        "updated_at_us": [row.updated_at_us for row in rows],
        "digests": columns.blobs([row.digest for row in rows]),
        "removed_at_us": [row.removed_at_us for row in rows],
        "revision": revision,
    }
    connection.execute(WRITE, parameters)


def _json(attributes: dict[str, Any] | None) -> str | None:
    return None if attributes is None else msgspec.json.encode(attributes).decode()


def _pending(connection: Connection, item_ids: set[str]) -> set[str]:
    if not item_ids:
        return set()
    return {row[0] for row in connection.execute(PENDING_ITEMS, {"item_ids": list(item_ids)})}
