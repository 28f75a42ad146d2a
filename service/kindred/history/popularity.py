"""Popularity of items: a count of positive events that halves with age.

Kept by forward decay (Cormode et al., ICDE 2009): an event's mass is 2 ** ((time - landmark) / half-life),
a number that never changes, so sums need no refreshing; what is published divides by the mass of now.
"""

from __future__ import annotations

from datetime import datetime

from kindred.history import columns
from kindred.history.connection import Database

LANDMARK_SECONDS = 1_767_225_600  # 2026-01-01: forward decay counts from here
# 2 ** 1024 is too large for a double, 2 ** -1075 too small; Postgres refuses to calculate either, and the
# event with it.
MOST_HALF_LIVES = 900

ROWS_AT_ONCE = 1_000
MOST_SLICES = 100  # in one go; workers of small batches write some twenty rows a second each
# One row a batch, deleted and added up in one statement, so that each counts once.
TAKE_COUNTED = """
WITH taken AS (
    DELETE FROM popularity_delta
    WHERE id IN (SELECT id FROM popularity_delta ORDER BY id LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
    RETURNING items, masses
)
SELECT item, sum(mass), (SELECT count(*) FROM taken)
FROM taken, unnest(items, masses) AS each (item, mass) GROUP BY item
"""
# In the order of ids, as writers of items lock them; apart from the sum, which then sees what was
# committed while the lock was waited for.
LOCK_ITEMS = "SELECT FROM item WHERE number = ANY(%(numbers)s::int[]) ORDER BY item_id FOR UPDATE"
ADD = """
UPDATE item i SET popularity = i.popularity + gained.mass
FROM unnest(%(numbers)s::int[], %(masses)s::float8[]) AS gained (number, mass)
WHERE i.number = gained.number
RETURNING i.item_id, i.popularity
"""
SLICE = "SELECT number, item_id, popularity FROM item WHERE number > %s ORDER BY number LIMIT %s"


def decay(now: datetime, half_life_days: float) -> float:
    """What a mass is multiplied with to give the count as of now."""
    half_lives = (now.timestamp() - LANDMARK_SECONDS) / (half_life_days * 86_400)
    return float(2.0 ** -max(-MOST_HALF_LIVES, min(half_lives, MOST_HALF_LIVES)))


def fold(database: Database, now: datetime, half_life_days: float) -> dict[str, float]:
    """Add up what batches have counted; decayed counts, as of now, of the items that gained."""
    masses: dict[str, float] = {}
    for _ in range(MOST_SLICES):
        added, taken = _add_slice(database)
        masses |= added
        if taken < ROWS_AT_ONCE:
            break
    factor = decay(now, half_life_days)
    return {item_id: mass * factor for item_id, mass in masses.items()}


def _add_slice(database: Database) -> tuple[dict[str, float], int]:
    """Masses of the items that gained, and of how many batches."""
    with database.transaction() as connection:
        counted = connection.execute(TAKE_COUNTED, {"rows": ROWS_AT_ONCE}).fetchall()
        if not counted:
            return {}, 0
        numbers, masses, (taken, *_) = zip(*counted, strict=True)
        gained = {"numbers": columns.integers(numbers), "masses": columns.doubles(masses)}
        connection.execute(LOCK_ITEMS, gained)
        return dict(connection.execute(ADD, gained).fetchall()), taken


def slice_after(
    database: Database, number: int, limit: int, now: datetime, half_life_days: float
) -> tuple[int, dict[str, float]]:
    """Decayed counts of the next items by number, and where to go on; 0 after the last."""
    with database.transaction() as connection:
        rows = connection.execute(SLICE, [number, limit]).fetchall()
    factor = decay(now, half_life_days)
    following = rows[-1][0] if len(rows) == limit else 0
    return following, {item_id: mass * factor for _, item_id, mass in rows}
