"""Which clock decides what: never the worker's own wall clock, which may jump by days.

What time it is, for retention, popularity, leases and `embedded_at`, the database says: one clock for all
workers. How long something took, for the age of a batch, a clock says that nobody can set.
"""

from __future__ import annotations

import time
from datetime import datetime

from kindred.history.connection import Database

# It counts the time that a suspended machine sleeps; Linux alone has it, elsewhere the monotonic one does.
_COUNTS_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now(database: Database) -> datetime:
    """The database's time, in UTC."""
    with database.transaction() as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def running_seconds() -> float:
    """Only differences mean anything; they count suspension (rule 7)."""
    return time.clock_gettime(_COUNTS_SLEEP)
