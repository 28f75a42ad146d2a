"""Rows of users who were erased long ago. When they go, the erasure is remembered by its hash alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kindred.history import columns, locks
from kindred.history.connection import Database

# Nothing is left of an erased user but the id; a new life has a profile or an event.
IS_EMPTY = """
u.erased_at IS NOT NULL AND u.profile_updated_at IS NULL AND u.last_event_at IS NULL
AND u.history_length = 0
AND NOT EXISTS (SELECT FROM pending_sync p WHERE p.kind = 'user' AND p.id = u.user_id)
AND NOT EXISTS (SELECT FROM letter_search s WHERE s.user_id = u.user_id)
"""
# `requested_at` is the database's clock; `erased_at`, a record's, only spares hashing the recent ones.
CANDIDATES = f"""
SELECT u.user_id, u.revision, u.erased_at, e.requested_at
FROM app_user u CROSS JOIN lineage l
JOIN erasure e ON e.user_hash = sha256(l.erasure_key || convert_to(u.user_id, 'UTF8'))
WHERE {IS_EMPTY} AND u.erased_at < now() - %(age_seconds)s * interval '1 second'
  AND e.requested_at < now() - %(age_seconds)s * interval '1 second'
  AND (u.erased_at, u.user_id) > (%(after_time)s, %(after_id)s)
ORDER BY u.erased_at, u.user_id LIMIT %(limit)s
"""
# Exclusive: a batch that has seen the row, but not locked it yet, would miss it (rule 3).
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"
DELETE = f"""
DELETE FROM app_user u
USING unnest(%(user_ids)s::text[], %(revisions)s::bigint[]) AS seen (user_id, revision)
WHERE u.user_id = seen.user_id AND u.revision = seen.revision AND {IS_EMPTY}
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An erased user of whom only the row is left."""

    user_id: str
    revision: int
    erased_at: datetime
    requested_at: datetime  # by the database's clock


def candidates(
    database: Database, age_seconds: float, after: Candidate | None, limit: int
) -> list[Candidate]:
    """The next who were erased longer ago than that, by the time of the erasure."""
    bounds = {
        "age_seconds": age_seconds,
        "after_time": "-infinity" if after is None else after.erased_at,
        "after_id": "" if after is None else after.user_id,
        "limit": limit,
    }
    with database.transaction() as connection:
        return [Candidate(*row) for row in connection.execute(CANDIDATES, bounds)]


def delete(database: Database, seen: Mapping[str, int]) -> int:
    """Delete the rows that are still empty and at the revision that was seen; returns how many."""
    with database.transaction() as connection:
        connection.execute(WAIT_FOR_BATCHES)
        parameters = {
            "user_ids": columns.texts(seen),
            "revisions": columns.bigints([*seen.values()]),
        }
        return connection.execute(DELETE, parameters).rowcount
