"""Partitions of the log: one a month, made ahead of time, dropped whole after retention."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from kindred.history import locks
from kindred.history.connection import Connection, Database

MONTHS_AHEAD = 3
DELETED_ROWS_AT_ONCE = 2_000  # letters of up to a megabyte among them
MOST_SECONDS = 5.0  # in one go: others wait for the same thread; the rest the next time

# The floor rises before anything is dropped: an event older than it is refused from then on, so a
# dropped partition can't make it count twice (rule 22). It never falls. The exclusive lock waits for the
# batches that began under the old floor: one that was still to insert would find its event's first copy
# gone with the partition.
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"
RAISE_FLOOR = "UPDATE lineage SET retention_floor = %(floor)s WHERE retention_floor < %(floor)s"
# Migration 0003 has the two functions: they run as the log's owner, who a worker need not be.
MAKE = "SELECT make_log_partition(%s)"
DROP_EXPIRED = "SELECT drop_expired_log_partitions()"
DELETE_OLD_FROM_DEFAULT = """
DELETE FROM interaction_default WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM interaction_default WHERE occurred_at < (SELECT retention_floor FROM lineage) LIMIT %s))
"""
DELETE_OLD_DEAD_LETTERS = """
DELETE FROM dead_letter WHERE id IN (
    SELECT id FROM dead_letter WHERE created_at < now() - %s * interval '1 day' LIMIT %s)
"""


def make_ahead(database: Database, now: datetime) -> list[str]:
    """Create the partitions of this month and the next ones; returns those that were missing."""
    with database.transaction() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({locks.MIGRATION})")
        # A new partition waits for the default one's readers: rather try again than make writers queue.
        connection.execute("SET LOCAL lock_timeout = '2s'")
        return [_name(month) for month in _months(now, MONTHS_AHEAD + 1) if _make(connection, month)]


def expire(database: Database, now: datetime, retention_days: int) -> list[str]:
    """Raise the floor, then drop the partitions that lie wholly before it; returns those dropped."""
    floor = now - timedelta(days=retention_days)
    with database.transaction() as connection:
        connection.execute(WAIT_FOR_BATCHES)
        connection.execute(RAISE_FLOOR, {"floor": floor})
    with database.transaction() as connection:
        connection.execute("SET LOCAL lock_timeout = '2s'")
        gone = [name for (name,) in connection.execute(DROP_EXPIRED)]
    _delete_slices(database, DELETE_OLD_FROM_DEFAULT, [DELETED_ROWS_AT_ONCE])
    return gone


def expire_dead_letters(database: Database, retention_days: int) -> int:
    """Delete the letters nobody asked for in time; returns how many."""
    return _delete_slices(database, DELETE_OLD_DEAD_LETTERS, [retention_days, DELETED_ROWS_AT_ONCE])


def _delete_slices(database: Database, statement: str, parameters: list[int]) -> int:
    deleted, began_at = 0, time.monotonic()
    while True:
        with database.transaction() as connection:
            slice_ = connection.execute(statement, parameters).rowcount
        deleted += slice_
        if slice_ < DELETED_ROWS_AT_ONCE or time.monotonic() - began_at > MOST_SECONDS:
            return deleted


def _make(connection: Connection, month: datetime) -> bool:
    row = connection.execute(MAKE, [month]).fetchone()
    return bool(row and row[0])


def _months(now: datetime, count: int) -> list[datetime]:
    months = [datetime(now.year, now.month, 1, tzinfo=UTC)]
    while len(months) < count:
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    return months


def _name(month: datetime) -> str:
    return f"interaction_{month:%Y%m}"
