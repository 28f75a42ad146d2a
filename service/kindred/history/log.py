"""The whole log in the order of training: by user, time and event id, as one stream of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.history.connection import Connection, Database
from kindred.history.punctual import unhurried

LONGEST_SECONDS = 3600.0
ROWS_A_FETCH = 10_000
BLOCK_BYTES = 4 * 2**20

# One snapshot for all statements, so that the log holds as many events of each user as were counted, and no
# item that was not read. Between two of them there may be more to do than a worker ever has.
BEGIN = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL work_mem = '128MB'",
)
# A user with more interactions than the log has: the oldest went with their partitions. Ids sort by bytes.
USERS = """
SELECT l.user_id, u.profile::text, l.kept, coalesce(u.history_length, 0) > l.kept
FROM (SELECT user_id, count(*) AS kept FROM interaction GROUP BY user_id) l
LEFT JOIN app_user u USING (user_id)
ORDER BY l.user_id
"""
ITEMS = """
SELECT number, item_id, CASE WHEN NOT removed THEN title END, CASE WHEN NOT removed THEN attributes::text END,
       removed
FROM item, LATERAL (
    SELECT removed_at IS NOT NULL AND (updated_at IS NULL OR updated_at <= removed_at) AS removed) r
ORDER BY item_id
"""
EVENT_TYPES = "SELECT name, number FROM event_type ORDER BY name"
# A row a user, not a row an event: the driver spends more on a row than the server on packing it.
INTERACTIONS = """
COPY (SELECT string_agg(int4send(item) || int2send(type) || timestamptz_send(occurred_at), ''
                        ORDER BY occurred_at, event_id)
      FROM interaction GROUP BY user_id ORDER BY user_id)
TO STDOUT (FORMAT binary)
"""
EVENT = np.dtype([("item", ">i4"), ("type", ">i2"), ("time_us", ">i8")])
# PostgreSQL documentation, COPY, "Binary Format": a header, which comes with the first row; before each row
# its count of fields, before each field its length; a trailer, shorter than these.
HEADER_BYTES, ROW_START_BYTES = 19, 6
POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which a binary timestamp counts


class LoggedUser(NamedTuple):
    """A user with interactions. `cut`: some older ones are no longer in the log."""

    user_id: str
    profile: str | None  # JSON
    interactions: int
    cut: bool


class LoggedItem(NamedTuple):
    """An item that was ever seen. Title and attributes are None where it was never described, or removed."""

    number: int
    item_id: str
    title: str | None
    attributes: str | None  # JSON
    removed: bool


class Block(NamedTuple):
    """Consecutive interactions, as columns."""

    items: NDArray[np.int32]  # (n,) item numbers
    types: NDArray[np.int16]  # (n,) event-type numbers
    times_us: NDArray[np.int64]  # (n,)


class LogReader:
    """The log as it was at one moment. Interactions stand in the order of `users`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def users(self) -> Iterator[LoggedUser]:
        """Users with interactions, by id."""
        return (LoggedUser(*row) for row in self._rows("users", USERS))

    def items(self) -> Iterator[LoggedItem]:
        """Every item, by id."""
        return (LoggedItem(*row) for row in self._rows("items", ITEMS))

    def event_types(self) -> dict[str, int]:
        """Number of each event type, by name."""
        return dict(self._connection.execute(EVENT_TYPES).fetchall())

    def interactions(self) -> Iterator[Block]:
        """All interactions: each user's by time, then by event id."""
        with self._connection.cursor() as cursor, cursor.copy(INTERACTIONS) as copy:
            yield from _blocks(iter(copy))

    def _rows(self, name: str, statement: str) -> Iterator[Any]:
        with self._connection.cursor(name, binary=True) as cursor:
            cursor.itersize = ROWS_A_FETCH
            yield from cursor.execute(statement)


@contextmanager
def opened_log(database: Database) -> Iterator[LogReader]:
    """One snapshot to read from. Raises Outage, SchemaOutdated or Misconfigured."""
    with database.transaction() as connection, unhurried(connection, LONGEST_SECONDS):
        for statement in BEGIN:
            connection.execute(statement)
        yield LogReader(connection)


def _blocks(rows: Iterator[bytes | bytearray | memoryview]) -> Iterator[Block]:
    """Many users at a time: no object of Python's own outlives its block."""
    packed, size, start = list[bytes | bytearray | memoryview](), 0, HEADER_BYTES + ROW_START_BYTES
    for row in rows:
        packed.append(row[start:])
        size, start = size + len(row), ROW_START_BYTES
        if size >= BLOCK_BYTES:
            yield _block(b"".join(packed))
            packed, size = [], 0
    yield _block(b"".join(packed))


def _block(packed: bytes) -> Block:
    events = np.frombuffer(packed, EVENT)
    return Block(
        items=events["item"].astype(np.int32),
        types=events["type"].astype(np.int16),
        times_us=events["time_us"].astype(np.int64) + POSTGRES_EPOCH_US,
    )
