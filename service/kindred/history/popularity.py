"""Popularity of items: a count of positive events that halves with age.

Kept by forward decay (Cormode et al., ICDE 2009): an event's mass is 2 ** ((time - landmark) / half-life),
a number that never changes, so sums need no refreshing; what is published divides by the mass of now.
"""

from __future__ import annotations

from datetime import datetime

from kindred.history.connection import Database
from kindred.history.store import POPULARITY_LANDMARK_SECONDS

# One row a batch; deleting and adding up in one statement counts each row once.
FOLD = """
WITH folded AS (
    DELETE FROM popularity_delta
    WHERE id IN (SELECT id FROM popularity_delta ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING items, masses
), summed AS (
    SELECT item, sum(mass) AS mass FROM folded, unnest(items, masses) AS each (item, mass) GROUP BY item
), locked AS (
    SELECT number FROM item JOIN summed ON number = summed.item ORDER BY item_id FOR UPDATE OF item
)
UPDATE item i SET popularity = i.popularity + s.mass
FROM summed s WHERE i.number = s.item AND s.item IN (SELECT number FROM locked)
RETURNING i.item_id, i.popularity
"""
SLICE = "SELECT number, item_id, popularity FROM item WHERE number > %s ORDER BY number LIMIT %s"


def fold(database: Database, now: datetime, half_life_days: float) -> dict[str, float]:
    """Add up what batches have counted; decayed counts, as of now, of the items that gained."""
    with database.transaction() as connection:
        rows = connection.execute(FOLD).fetchall()
    return {item_id: _as_of(now, mass, half_life_days) for item_id, mass in rows}


def slice_after(
    database: Database, number: int, limit: int, now: datetime, half_life_days: float
) -> tuple[int, dict[str, float]]:
    """Decayed counts of the next items by number, and where to go on; 0 after the last."""
    with database.transaction() as connection:
        rows = connection.execute(SLICE, [number, limit]).fetchall()
    following = rows[-1][0] if len(rows) == limit else 0
    return following, {item_id: _as_of(now, mass, half_life_days) for _, item_id, mass in rows}


def _as_of(now: datetime, mass: float, half_life_days: float) -> float:
    age_seconds = now.timestamp() - POPULARITY_LANDMARK_SECONDS
    return float(mass * 2.0 ** (-age_seconds / (half_life_days * 86_400)))
