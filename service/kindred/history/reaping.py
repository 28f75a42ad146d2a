"""Rows of users who were erased long ago. When they go, the erasure is remembered by its hash alone."""

from __future__ import annotations

from collections.abc import Mapping

from kindred.history import columns, locks
from kindred.history.connection import Database

# Nothing is left of an erased user but the id; a new life has a profile or an event.
IS_EMPTY = """
u.erased_at IS NOT NULL AND u.profile_updated_at IS NULL AND u.last_event_at IS NULL
AND u.history_length = 0
AND NOT EXISTS (SELECT FROM pending_sync p WHERE p.kind = 'user' AND p.id = u.user_id)
"""
# `requested_at` is the database's clock; `erased_at`, a record's, only spares hashing the recent ones.
CANDIDATES = f"""
SELECT u.user_id, u.revision
FROM app_user u CROSS JOIN lineage l
JOIN erasure e ON e.user_hash = sha256(l.erasure_key || convert_to(u.user_id, 'UTF8'))
WHERE {IS_EMPTY} AND u.erased_at < now() - %(age_seconds)s * interval '1 second'
  AND e.requested_at < now() - %(age_seconds)s * interval '1 second'
ORDER BY u.erased_at LIMIT %(limit)s
"""
# Exclusive: a batch that has seen the row, but not locked it yet, would miss it (rule 3).
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"
DELETE = f"""
DELETE FROM app_user u
USING unnest(%(user_ids)s::text[], %(revisions)s::bigint[]) AS seen (user_id, revision)
WHERE u.user_id = seen.user_id AND u.revision = seen.revision AND {IS_EMPTY}
"""


def candidates(database: Database, age_seconds: float, limit: int) -> dict[str, int]:
    """Revisions of users who were erased longer ago than that, by id."""
    with database.transaction() as connection:
        bounds = {"age_seconds": age_seconds, "limit": limit}
        return dict(connection.execute(CANDIDATES, bounds).fetchall())


def delete(database: Database, seen: Mapping[str, int]) -> int:
    """Delete the rows that are still empty and at the revision that was seen; returns how many."""
    with database.transaction() as connection:
        connection.execute(WAIT_FOR_BATCHES)
        parameters = {
            "user_ids": columns.texts(seen),
            "revisions": columns.bigints([*seen.values()]),
        }
        return connection.execute(DELETE, parameters).rowcount
