"""Dead letters as an operator handles them: found by filters, shown, taken for a replay, purged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kindred.events.schema import Record
from kindred.history.affected import LettersTaken
from kindred.history.connection import Connection, Database

SLICE_LETTERS = 500
SLICE_BYTES = 16_000_000  # of keys and values together, or one letter; each may have a megabyte
COLUMNS = """
id, topic, partition, record_offset, (extract(epoch FROM record_at) * 1e3)::bigint, key, value,
reason, detail, created_at
"""
MATCHING = """
id > %(after)s
AND (%(reason)s::text IS NULL OR reason = %(reason)s)
AND (%(topic)s::text IS NULL OR topic = %(topic)s)
AND (%(older_than)s::interval IS NULL OR created_at < now() - %(older_than)s::interval)
AND (%(newer_than)s::interval IS NULL OR created_at >= now() - %(newer_than)s::interval)
"""
# Ids of the first of some `letters` (id, key, value). A length is known without reading the value.
WITHIN_BYTES = f"""
SELECT id FROM (
    SELECT id, row_number() OVER up_to AS place,
           sum(octet_length(coalesce(key, '')) + octet_length(coalesce(value, ''))) OVER up_to AS bytes
    FROM letters WINDOW up_to AS (ORDER BY id)) AS sized
WHERE place = 1 OR bytes <= {SLICE_BYTES}
"""
SLICE = f"""
WITH letters AS (SELECT id, key, value FROM dead_letter WHERE {MATCHING} ORDER BY id LIMIT %(limit)s)
SELECT {COLUMNS} FROM dead_letter WHERE id IN ({WITHIN_BYTES}) ORDER BY id
"""
ONE = f"SELECT {COLUMNS} FROM dead_letter WHERE id = %s"
COUNT = f"SELECT topic, reason, count(*) FROM dead_letter WHERE {MATCHING} GROUP BY 1, 2 ORDER BY 1, 2"
# By record, as whoever keeps letters does (locks.py).
PURGE = f"""
DELETE FROM dead_letter WHERE id IN (
    SELECT id FROM dead_letter WHERE {MATCHING}
    ORDER BY topic, partition, record_offset LIMIT %(limit)s FOR UPDATE)
"""
DISCARD = """
WITH locked AS (
    SELECT id FROM dead_letter WHERE id = ANY(%s::bigint[])
    ORDER BY topic, partition, record_offset FOR UPDATE
)
DELETE FROM dead_letter d USING locked WHERE d.id = locked.id
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of dead_letter."""

    id: int
    record: Record
    reason: str
    detail: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; None means any. Ages count from when the letter was kept."""

    reason: str | None = None
    topic: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    def parameters(self, after: int = 0, limit: int = 0) -> dict[str, Any]:
        return {
            "reason": self.reason, "topic": self.topic, "after": after, "limit": limit,
            "older_than": self.older_than, "newer_than": self.newer_than,
        }  # fmt: skip

    @property
    def is_empty(self) -> bool:
        return self == Filter()


def slices(database: Database, wanted: Filter) -> Iterator[list[Letter]]:
    """All letters that match, oldest first, a slice at a time; those deleted meanwhile are left out."""
    after = 0
    while True:
        with database.transaction() as connection:
            rows = connection.execute(SLICE, wanted.parameters(after, SLICE_LETTERS)).fetchall()
        if not rows:
            return
        found = [_letter(row) for row in rows]
        yield found
        after = found[-1].id


def read(database: Database, letter_id: int) -> Letter | None:
    """One letter by its id."""
    with database.transaction() as connection:
        row = connection.execute(ONE, [letter_id]).fetchone()
    return None if row is None else _letter(row)


def count(database: Database, wanted: Filter) -> dict[tuple[str, str], int]:
    """Letters by topic and reason."""
    with database.transaction() as connection:
        rows = connection.execute(COUNT, wanted.parameters()).fetchall()
    return {(topic, reason): number for topic, reason, number in rows}


def purge(database: Database, wanted: Filter, limit: int) -> int:
    """Delete up to `limit` letters; returns how many."""
    with database.transaction() as connection:
        return connection.execute(PURGE, wanted.parameters(limit=limit)).rowcount


def take(connection: Connection, letter_ids: Sequence[int]) -> None:
    """Delete letters that become events in this transaction. Raises LettersTaken unless all are there."""
    if discard(connection, letter_ids) != len(letter_ids):
        raise LettersTaken


def discard(connection: Connection, letter_ids: Sequence[int]) -> int:
    """Delete those of these letters that are still there; returns how many."""
    return connection.execute(DISCARD, [list(letter_ids)]).rowcount if letter_ids else 0


def _letter(row: tuple[Any, ...]) -> Letter:
    letter_id, topic, partition, offset, at_ms, key, value, reason, detail, created_at = row
    return Letter(letter_id, Record(topic, partition, offset, at_ms, key, value), reason, detail, created_at)
