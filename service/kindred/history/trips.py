"""Partitions that the breaker has paused, on whatever worker, and what a person has decided about them.

A row is not deleted when its partition goes on: it is over once the records that it tells of have been read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kindred.history.connection import Database
from kindred.history.offsets import Partition

NOTE = """
INSERT INTO breaker_trip AS t (topic, partition, record_offset, reason)
VALUES (%(topic)s, %(partition)s, %(record_offset)s, %(reason)s)
ON CONFLICT (topic, partition) DO UPDATE
SET reason = excluded.reason, tripped_at = CASE WHEN t.record_offset = excluded.record_offset
                                                THEN t.tripped_at ELSE excluded.tripped_at END,
    record_offset = excluded.record_offset
"""
STANDING = """
SELECT t.topic, t.partition, t.record_offset, t.reason, t.tripped_at, t.accepted_until
FROM breaker_trip t LEFT JOIN synced_offset s USING (topic, partition)
WHERE coalesce(s.next_offset, 0) <= t.record_offset
ORDER BY t.topic, t.partition
"""
ACCEPT = """
UPDATE breaker_trip SET accepted_until = greatest(accepted_until, %(until)s)
WHERE topic = %(topic)s AND partition = %(partition)s
"""
ACCEPTED = "SELECT topic, partition, accepted_until FROM breaker_trip WHERE accepted_until IS NOT NULL"
FORGET_PASSED = """
DELETE FROM breaker_trip t USING synced_offset s
WHERE s.topic = t.topic AND s.partition = t.partition
  AND s.next_offset >= greatest(t.record_offset + 1, t.accepted_until)
"""


@dataclass(frozen=True, slots=True)
class Trip:
    """One paused partition. `record_offset`: the first record that was left where it is."""

    topic: str
    partition: int
    record_offset: int
    reason: str  # of most of the poison
    tripped_at: datetime
    accepted_until: int | None  # the records before it are dead letters, however many; a person says so


def note(database: Database, partition: Partition, record_offset: int, reason: str) -> None:
    """Remember that the breaker has paused this partition before that record."""
    row = {"topic": partition[0], "partition": partition[1], "record_offset": record_offset, "reason": reason}
    with database.transaction() as connection:
        connection.execute(NOTE, row)


def standing(database: Database) -> list[Trip]:
    """Those whose records have not been read since."""
    with database.transaction() as connection:
        return [Trip(*row) for row in connection.execute(STANDING)]


def accept(database: Database, partition: Partition, until: int) -> None:
    """Let the records of a paused partition before `until` become dead letters."""
    with database.transaction() as connection:
        connection.execute(ACCEPT, {"topic": partition[0], "partition": partition[1], "until": until})


def accepted(database: Database) -> Mapping[Partition, int]:
    """Up to which offset a person has accepted the poison of each partition."""
    with database.transaction() as connection:
        return {(topic, partition): until for topic, partition, until in connection.execute(ACCEPTED)}


def forget_passed(database: Database) -> None:
    """Delete what is over."""
    with database.transaction() as connection:
        connection.execute(FORGET_PASSED)
