"""Postgres brought back to an older state, as from a backup or by a failover that lost something."""

from __future__ import annotations

from kindred.settings import Settings
from running import one, rows

TABLES = (
    "app_user", "interaction", "item", "item_sweep", "event_type", "lineage", "erasure", "pending_sync",
    "dead_letter", "synced_offset", "popularity_delta", "breaker_trip", "letter_search",
)  # fmt: skip
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'kindred-worker' AND pid <> pg_backend_pid()
"""


def back_up(settings: Settings) -> int:
    """Copy the tables; returns the last revision that was drawn."""
    for table in TABLES:
        rows(settings, f"CREATE TABLE backup_{table} AS TABLE {table}")
    return int(one(settings, "SELECT last_value FROM revision"))


def restore(settings: Settings, drawn: int | None) -> None:
    """Make Postgres as it was; `drawn` None: but its sequence ran ahead, as after a crash."""
    for table in TABLES:
        rows(settings, f"DELETE FROM {table}")
        rows(settings, f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM backup_{table}")
        rows(settings, f"DROP TABLE backup_{table}")
    if drawn is not None:
        rows(settings, f"SELECT setval('revision', {drawn})")
    rows(settings, CUT)
