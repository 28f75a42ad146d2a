"""One user, for a person who asks."""

from __future__ import annotations

from typing import Any

from kindred.history.connection import Database

USER = """
SELECT user_id, profile, profile_updated_at, history_length, last_event_at, revision, erased_at
FROM app_user WHERE user_id = %s
"""
KEPT = """
SELECT w.at AS occurred_at, e.name AS type, i.item_id, i.title
FROM app_user u
CROSS JOIN LATERAL unnest(u.history_at, u.history_items, u.history_types)
     WITH ORDINALITY AS w (at, item, type, place)
LEFT JOIN item i ON i.number = w.item
LEFT JOIN event_type e ON e.number = w.type
WHERE u.user_id = %s
ORDER BY w.place DESC LIMIT %s
"""


def read_user(database: Database, user_id: str, limit: int) -> dict[str, Any] | None:
    """Profile, counters and the newest kept interactions; None for a user nobody has seen."""
    with database.transaction() as connection:
        cursor = connection.execute(USER, [user_id])
        row = cursor.fetchone()
        if row is None:
            return None
        user = dict(zip(_columns(cursor), row, strict=True))
        cursor = connection.execute(KEPT, [user_id, limit])
        user["interactions"] = [dict(zip(_columns(cursor), each, strict=True)) for each in cursor]
    return user


def _columns(cursor: Any) -> list[str]:
    return [column.name for column in cursor.description]
