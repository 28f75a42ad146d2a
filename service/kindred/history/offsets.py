"""How far Postgres has read each partition, written with what was read.

Kafka's committed offsets say what is searchable; these say what this database holds, which is never less:
offsets are committed last. It is less where the database was restored from a backup, or has failed over with
loss; and then it is from here that the records have to come again (rule 27).
"""

from __future__ import annotations

from collections.abc import Mapping

from kindred.errors import LostHistory
from kindred.history import columns
from kindred.history.connection import Connection, Database

Partition = tuple[str, int]

# Never by less: a zombie's batch may end before what its successor has read and committed. `begins` is what
# the group had committed when the partition was assigned, or where the batch before this one ended: of a row
# that ends earlier, Postgres has lost the rest. Snapshot and write may see different rows; both are only
# ever raised by whoever reads the partition.
NOTE = """
WITH named AS (
    SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(begins)s::bigint[],
                         %(next_offsets)s::bigint[]) AS n (topic, partition, begins, next_offset)
), noted AS (
    INSERT INTO synced_offset AS s (topic, partition, next_offset)
    SELECT topic, partition, next_offset FROM named ORDER BY topic COLLATE "C", partition
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
    WHERE s.next_offset < excluded.next_offset
)
SELECT n.topic, n.partition, coalesce(s.next_offset, 0), n.begins
FROM named n LEFT JOIN synced_offset s USING (topic, partition)
WHERE coalesce(s.next_offset, 0) < n.begins
"""
READ = "SELECT topic, partition, next_offset FROM synced_offset"
SET_BACK = """
UPDATE synced_offset s SET next_offset = n.next_offset
FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(next_offsets)s::bigint[])
     AS n (topic, partition, next_offset)
WHERE s.topic = n.topic AND s.partition = n.partition
"""


def note(
    connection: Connection, next_offsets: Mapping[Partition, int], begins: Mapping[Partition, int]
) -> None:
    """Remember where the records of this transaction end. `begins`: what has to be here before them.

    Raises LostHistory where it is not: the transaction must not commit, or nobody could tell what is missing.
    """
    if not next_offsets:
        return
    parameters = _columns(next_offsets)
    parameters["begins"] = columns.bigints([begins.get(each, 0) for each in next_offsets])
    for topic, partition, held, claimed in connection.execute(NOTE, parameters).fetchall():
        raise lost((topic, partition), held, claimed)


def read(database: Database) -> dict[Partition, int]:
    """The next offset of each partition that was ever read."""
    with database.transaction() as connection:
        return {(topic, partition): offset for topic, partition, offset in connection.execute(READ)}


def accept(database: Database, next_offsets: Mapping[Partition, int]) -> None:
    """Take these as read, whatever is missing."""
    with database.transaction() as connection:
        note(connection, next_offsets, {})


def set_back(database: Database, next_offsets: Mapping[Partition, int]) -> None:
    """Take only these as read: what was noted beyond tells of a log that is not there any more."""
    with database.transaction() as connection:
        connection.execute(SET_BACK, _columns(next_offsets))


def lost(partition: Partition, held: int, claimed: int) -> LostHistory:
    """The error that says what to do."""
    return LostHistory(
        f"The group has read {partition[0]}[{partition[1]}] up to offset {claimed}, but Postgres holds it "
        f"only up to {held}: it was restored from a backup, or failed over with loss. Stop all workers, then "
        "run `kindred recover`; if somebody moved the group's offsets forward on purpose, `kindred recover "
        "--accept-offsets`."
    )


def _columns(next_offsets: Mapping[Partition, int]) -> dict[str, columns.Column]:
    return {
        "topics": columns.texts([topic for topic, _ in next_offsets]),
        "partitions": columns.integers([partition for _, partition in next_offsets]),
        "next_offsets": columns.bigints([*next_offsets.values()]),
    }
