"""The whole log as events again: what `kindred train` and `kindred evaluate` read from Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kindred.events.schema import Interaction, ItemDescription, Profile
from kindred.history.connection import Connection, Database

ROWS_A_FETCH = 10_000  # what is in memory at once

# One snapshot for all three statements, so that no interaction names an item they did not read.
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

ITEMS = """
SELECT item_id, (extract(epoch FROM updated_at) * 1e6)::bigint, title, attributes::text, digest
FROM item
WHERE attributes IS NOT NULL AND (removed_at IS NULL OR updated_at > removed_at)
"""
PROFILES = """
SELECT user_id, (extract(epoch FROM profile_updated_at) * 1e6)::bigint, profile::text, profile_digest
FROM app_user
WHERE profile IS NOT NULL
"""
INTERACTIONS = """
SELECT l.event_id, l.user_id, i.item_id, t.name, (extract(epoch FROM l.occurred_at) * 1e6)::bigint,
       l.value, l.context::text
FROM interaction l
JOIN item i ON i.number = l.item
JOIN event_type t ON t.number = l.type
"""
COUNT = "SELECT count(*) FROM interaction"


def read_events(database: Database) -> Iterator[ItemDescription | Profile | Interaction]:
    """Descriptions of the items there are, profiles, then all interactions, in no order.

    Fetched a slice at a time, from one snapshot. Raises Outage, SchemaOutdated or Misconfigured.
    """
    with database.transaction() as connection:
        connection.execute(SNAPSHOT)
        yield from (ItemDescription(*row) for row in _rows(connection, "items", ITEMS))
        yield from (Profile(*row) for row in _rows(connection, "profiles", PROFILES))
        yield from (Interaction(*row) for row in _rows(connection, "interactions", INTERACTIONS))


def count_interactions(database: Database) -> int:
    """How many interactions the log holds."""
    with database.transaction() as connection:
        row = connection.execute(COUNT).fetchone()
    return 0 if row is None else int(row[0])


def _rows(connection: Connection, name: str, statement: str) -> Iterator[Any]:
    with connection.cursor(name, binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        yield from cursor.execute(statement)
