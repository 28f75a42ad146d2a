"""Postgres after a restore: revisions above all that Qdrant holds, and everybody written again."""

from __future__ import annotations

from kindred.history import locks
from kindred.history.connection import Database
from kindred.history.models import REQUEST_EVERYTHING
from kindred.history.punctual import unhurried

# Exclusive: no batch is in its transaction with a revision of the old epoch (rule 5).
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"
RAISE_EPOCH = "UPDATE lineage SET epoch = greatest(epoch, %(highest)s::bigint >> 40) + 1 RETURNING epoch"
ALL_USERS_SECONDS = 3_600.0  # as many rows are written as there are users
READ = "SELECT epoch, (SELECT count(*) FROM app_user), (SELECT count(*) FROM item) FROM lineage"


def read(database: Database) -> tuple[int, int, int]:
    """Epoch, and how many users and items there are."""
    with database.transaction() as connection:
        row = connection.execute(READ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def raise_epoch(database: Database, highest: int) -> int:
    """A new epoch, above the one of revision `highest`, with all users and items in pending_sync."""
    with database.transaction() as connection, unhurried(connection, ALL_USERS_SECONDS):
        connection.execute(WAIT_FOR_BATCHES)
        row = connection.execute(RAISE_EPOCH, {"highest": highest}).fetchone()
        connection.execute(REQUEST_EVERYTHING)
    assert row is not None
    return int(row[0])
