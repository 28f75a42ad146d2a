"""Partitions of the log: one a month, made ahead of time, dropped whole after retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg import sql

from kindred.history import locks
from kindred.history.connection import Connection, Database

MONTHS_AHEAD = 3
DELETED_ROWS_AT_ONCE = 10_000

EXISTING = """
SELECT c.relname FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass('interaction') AND c.relname ~ '^interaction_[0-9]{6}$'
ORDER BY 1
"""
# The floor rises before anything is dropped: an event older than it is refused from then on, so a
# dropped partition can't make it count twice (rule 22). It never falls. The exclusive lock waits for the
# batches that began under the old floor: one that was still to insert would find its event's first copy
# gone with the partition.
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"
RAISE_FLOOR = "UPDATE lineage SET retention_floor = %(floor)s WHERE retention_floor < %(floor)s"
# Attached rather than created in place: Postgres refuses a partition for rows that the default one holds.
LOCK_DEFAULT = "LOCK TABLE interaction_default IN ACCESS EXCLUSIVE MODE"
CREATE = "CREATE TABLE {name} (LIKE interaction INCLUDING ALL)"
MOVE = """
WITH moved AS (
    DELETE FROM interaction_default WHERE occurred_at >= {start} AND occurred_at < {end} RETURNING *
)
INSERT INTO {name} SELECT * FROM moved
"""
ATTACH = "ALTER TABLE interaction ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"
DELETE_OLD_FROM_DEFAULT = """
DELETE FROM interaction_default WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM interaction_default WHERE occurred_at < (SELECT retention_floor FROM lineage) LIMIT %s))
"""
DELETE_OLD_DEAD_LETTERS = """
DELETE FROM dead_letter WHERE id IN (
    SELECT id FROM dead_letter WHERE created_at < now() - %s * interval '1 day' LIMIT 10000)
"""


def make_ahead(database: Database, now: datetime) -> list[str]:
    """Create the partitions of this month and the next ones; returns those that were missing."""
    made = []
    with database.transaction() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({locks.MIGRATION})")
        # A new partition waits for the default one's readers: rather try again than make writers queue.
        connection.execute("SET LOCAL lock_timeout = '2s'")
        existing = _existing(connection)
        for month in _months(now, MONTHS_AHEAD + 1):
            if _name(month) not in existing:
                _create(connection, month)
                made.append(_name(month))
    return made


def expire(database: Database, now: datetime, retention_days: int) -> list[str]:
    """Raise the floor, then drop the partitions that lie wholly before it; returns those dropped."""
    floor = now - timedelta(days=retention_days)
    with database.transaction() as connection:
        connection.execute(WAIT_FOR_BATCHES)
        connection.execute(RAISE_FLOOR, {"floor": floor})
    with database.transaction() as connection:
        connection.execute("SET LOCAL lock_timeout = '2s'")
        # A partition's month is over where the next one's first day is not after the floor.
        gone = [name for name in _existing(connection) if _next(_month_of(name)) <= floor]
        for name in gone:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        connection.execute(DELETE_OLD_FROM_DEFAULT, [DELETED_ROWS_AT_ONCE])
    return gone


def expire_dead_letters(database: Database, retention_days: int) -> int:
    """Delete a slice of the letters nobody asked for in time; returns how many."""
    with database.transaction() as connection:
        return connection.execute(DELETE_OLD_DEAD_LETTERS, [retention_days]).rowcount


def _existing(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(EXISTING)]


def _create(connection: Connection, month: datetime) -> None:
    """Make a month's partition, and move there what the default one already holds of that month."""
    names = {"name": sql.Identifier(_name(month)), "start": _literal(month), "end": _literal(_next(month))}
    for statement in (LOCK_DEFAULT, CREATE, MOVE, ATTACH):
        connection.execute(sql.SQL(statement).format(**names))


def _literal(month: datetime) -> sql.Literal:
    return sql.Literal(month.isoformat())


def _months(now: datetime, count: int) -> list[datetime]:
    months = [datetime(now.year, now.month, 1, tzinfo=UTC)]
    while len(months) < count:
        months.append(_next(months[-1]))
    return months


def _next(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)


def _name(month: datetime) -> str:
    return f"interaction_{month:%Y%m}"


def _month_of(name: str) -> datetime:
    return datetime.strptime(name.removeprefix("interaction_"), "%Y%m").replace(tzinfo=UTC)
