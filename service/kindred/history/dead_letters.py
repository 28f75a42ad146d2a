"""Dead letters: records that can't be events, kept with the reason until a person has looked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kindred.events.schema import DeadLetter, Record
from kindred.history.connection import Connection

# Producers set timestamps as they like, and Postgres' calendar ends: what lies beyond becomes one of these.
# They lie beyond the event contract's years too: no replay takes the record for one of a time that there is.
FIRST_MS = -200_000_000_000_000  # in 4369 BC
LAST_MS = 9_000_000_000_000_000  # in 287169
# In the order of the records, so that two workers never wait for each other's letters.
INSERT = """
INSERT INTO dead_letter (topic, partition, record_offset, record_at, key, value, reason, detail, digest)
SELECT topic, partition, record_offset, 'epoch'::timestamptz + at_ms * interval '1 millisecond',
       key, value, reason, detail, digest
FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(offsets)s::bigint[], %(at_ms)s::bigint[],
            %(keys)s::bytea[], %(values)s::bytea[], %(reasons)s::text[], %(details)s::text[],
            %(digests)s::bytea[])
     AS letter (topic, partition, record_offset, at_ms, key, value, reason, detail, digest)
ORDER BY topic, partition, record_offset
ON CONFLICT DO NOTHING
"""


def insert(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep them, once each: unique on topic, partition, offset and digest (rule 20)."""
    if not letters:
        return
    records = [letter.record for letter in letters]
    connection.execute(
        INSERT,
        {
            "topics": [record.topic for record in records],
            "partitions": [record.partition for record in records],
            "offsets": [record.offset for record in records],
            "at_ms": [_storable_ms(record.timestamp_ms) for record in records],
            "keys": [record.key for record in records],
            "values": [record.value for record in records],
            "reasons": [letter.reason.value for letter in letters],
            "details": [_storable(letter.detail) for letter in letters],
            "digests": [digest(record) for record in records],
        },
    )


def digest(record: Record) -> bytes:
    """Tells a recreated topic's record from an earlier one at the same offset."""
    parts = (record.key or b"", record.value or b"", str(record.timestamp_ms).encode())
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()[:16]


def _storable_ms(timestamp_ms: int) -> int:
    return max(FIRST_MS, min(timestamp_ms, LAST_MS))


def _storable(detail: str) -> str:
    """A letter's reason must never be what Postgres refuses (rule 9)."""
    return detail.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:2000]
