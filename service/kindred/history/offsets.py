"""How far Postgres has read each partition, written with what was read.

Kafka's committed offsets say what is searchable; these say what this database holds. They differ when the
database is restored from a backup, and then it is from here that the records have to come again (rule 27).
"""

from __future__ import annotations

from collections.abc import Mapping

from kindred.history import columns
from kindred.history.connection import Connection, Database

Partition = tuple[str, int]

# Overwritten, also by less: a batch is read on from the committed offset, so all before its end is here
# either way. The greatest would outlive a topic that was deleted and made anew.
NOTE = """
INSERT INTO synced_offset (topic, partition, next_offset)
SELECT topic, partition, next_offset
FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(next_offsets)s::bigint[])
     AS named (topic, partition, next_offset)
ORDER BY topic COLLATE "C", partition
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
READ = "SELECT topic, partition, next_offset FROM synced_offset"


def note(connection: Connection, next_offsets: Mapping[Partition, int]) -> None:
    """Remember where the records of this transaction end."""
    if next_offsets:
        parameters = {
            "topics": columns.texts([topic for topic, _ in next_offsets]),
            "partitions": columns.integers([partition for _, partition in next_offsets]),
            "next_offsets": columns.bigints([*next_offsets.values()]),
        }
        connection.execute(NOTE, parameters)


def read(database: Database) -> dict[Partition, int]:
    """The next offset of each partition that was ever read."""
    with database.transaction() as connection:
        return {(topic, partition): offset for topic, partition, offset in connection.execute(READ)}
