"""Who holds an item whose description changed? They are put into pending_sync, in slices (rule 1)."""

from __future__ import annotations

from dataclasses import dataclass

from kindred.history import locks
from kindred.history.connection import Database
from kindred.history.pending import ASK_AGAIN

READ_REQUESTED = """
SELECT array_agg(item), max(revision), extract(epoch FROM now() - min(changed_at))::float8
FROM item_sweep
"""
SLICE = f"""
WITH slice AS (
    SELECT user_id, history_items FROM app_user WHERE user_id > %(after)s ORDER BY user_id LIMIT %(limit)s
), requested AS (
    INSERT INTO pending_sync (kind, id)
    SELECT 'user', user_id FROM slice WHERE history_items && %(items)s::int[]
    ORDER BY user_id
    {ASK_AGAIN}
    RETURNING id
)
SELECT max(user_id), count(*), (SELECT count(*) FROM requested) FROM slice
"""
FINISH = "DELETE FROM item_sweep WHERE item = ANY(%(items)s::int[]) AND revision <= %(revision)s"
COUNT_PENDING = "SELECT count(*) FROM pending_sync"
# A batch that was in its transaction when the description committed may have read the old one, and no
# scan sees it yet: the exclusive lock waits until every transaction of that time has ended.
WAIT_FOR_BATCHES = f"SELECT pg_advisory_xact_lock({locks.BATCH})"


@dataclass(slots=True)
class Sweep:
    """One pass over all users for the items that had changed when it began."""

    items: list[int]
    revision: int
    after: str = ""


def begin(database: Database) -> tuple[Sweep | None, float]:
    """A pass for what is requested, if anything, and the age in seconds of the oldest request."""
    with database.transaction() as connection:
        row = connection.execute(READ_REQUESTED).fetchone()
    if row is None or row[0] is None:
        return None, 0.0
    with database.transaction() as connection:
        connection.execute(WAIT_FOR_BATCHES)
    return Sweep(sorted(row[0]), row[1]), row[2]


def advance(database: Database, sweep: Sweep, slice_users: int) -> bool:
    """Look at the next users; True when the pass is complete."""
    parameters = {"after": sweep.after, "limit": slice_users, "items": sweep.items}
    with database.transaction() as connection:
        row = connection.execute(SLICE, parameters).fetchone()
        complete = row is None or row[1] < slice_users
        if complete:
            connection.execute(FINISH, {"items": sweep.items, "revision": sweep.revision})
    if row is not None and row[0] is not None:
        sweep.after = row[0]
    return complete


def pending_count(database: Database) -> int:
    """Rows that wait for a worker."""
    with database.transaction() as connection:
        row = connection.execute(COUNT_PENDING).fetchone()
    return int(row[0]) if row else 0
