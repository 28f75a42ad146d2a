"""Users with their windows, and all items, as of one moment: for whoever embeds them once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kindred.history import columns, event_types, items
from kindred.history.audit import IS_TOMBSTONE, Kind
from kindred.history.connection import Connection, Database
from kindred.history.merge import as_histories
from kindred.history.window import Histories, Item

ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)  # of popularity, which no vector knows
FEW_USERS = 100_000  # of whom all pages are read: of few pages a sample may be none
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
COUNT = "SELECT count(*) FROM app_user"
WINDOW = """
SELECT user_id, profile, history_length, array_send(history_items), array_send(history_types),
       array_send(history_at), revision
FROM app_user
"""
LIVING = f"NOT coalesce({IS_TOMBSTONE['user']}, false)"
# Whole pages: a sample of rows would read all there are.
RANDOM = f"{WINDOW} TABLESAMPLE SYSTEM (%(percent)s) WHERE {LIVING} ORDER BY random() LIMIT %(limit)s"
NAMED = f"{WINDOW} WHERE {LIVING} AND user_id = ANY(%(user_ids)s::text[])"
# Their vectors are about to change: a request waits, or an item of theirs has changed.
UNSETTLED = {
    "user": """
        SELECT user_id FROM app_user u WHERE user_id = ANY(%(ids)s::text[])
          AND (history_items && ARRAY(SELECT item FROM item_sweep)
               OR EXISTS (SELECT FROM pending_sync p WHERE p.kind = 'user' AND p.id = u.user_id))
    """,
    "item": "SELECT id FROM pending_sync WHERE kind = 'item' AND id = ANY(%(ids)s::text[])",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """Histories, the revision of each one's row, and every item."""

    histories: Histories
    revisions: Sequence[int]
    items: Sequence[Item]


def draw(database: Database, users: int) -> Sample:
    """Up to so many random users; all, where there are no more."""
    with database.transaction() as connection:
        connection.execute(SNAPSHOT)
        row = connection.execute(COUNT).fetchone()
        there = row[0] if row else 0
        percent = min(100.0, 200.0 * users / there) if there > FEW_USERS else 100.0
        return _sample(connection, RANDOM, {"percent": percent, "limit": users})


def again(database: Database, user_ids: Sequence[str]) -> Sample:
    """These users, as they are now."""
    with database.transaction() as connection:
        connection.execute(SNAPSHOT)
        return _sample(connection, NAMED, {"user_ids": columns.texts(user_ids)})


def unsettled(database: Database, kind: Kind, external_ids: Sequence[str]) -> set[str]:
    """Those of these whose vectors workers have yet to write."""
    with database.transaction() as connection:
        found = connection.execute(UNSETTLED[kind], {"ids": columns.texts(external_ids)})
        return {row[0] for row in found}


def _sample(connection: Connection, statement: str, parameters: dict[str, object]) -> Sample:
    rows = connection.cursor(binary=True).execute(statement, parameters).fetchall()
    _, names = event_types.read(connection)
    every = items.read_changed(connection, -1, ANY_TIME, 1.0)
    return Sample(as_histories(rows, lambda _: names), [row[6] for row in rows], every)
