"""Popularity: each positive interaction counts once, however often it was delivered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from faults.expected import Expected
from faults.findings import Findings
from faults.life import Event
from kindred import declaration as declarations
from kindred.history.connection import Connection
from kindred.settings import Settings

LANDMARK_SECONDS = 1_767_225_600  # 2026-01-01
MOST_HALF_LIVES = 900
PRECISION = 1e-9  # sums of doubles, in another order
NOT_ADDED_UP = (
    "SELECT item, sum(mass) FROM popularity_delta, unnest(items, masses) AS m (item, mass) GROUP BY 1"
)


def compare_popularity(
    connection: Connection, settings: Settings, items: Iterable[Any], wanted: Expected, findings: Findings
) -> None:
    """Exact, but for users who were erased: whether theirs counted before they went, nobody knows."""
    least, most = _bounds(settings, wanted)
    waiting = dict(connection.execute(NOT_ADDED_UP).fetchall())
    for row in items:
        mass = row.popularity + waiting.get(row.number, 0.0)
        low, high = least.get(row.item_id, 0.0), most.get(row.item_id, 0.0)
        if not low * (1 - PRECISION) <= mass <= high * (1 + PRECISION):
            findings.note("popularity", f"{row.item_id}: is {mass}, must be {low} to {high}")


def _bounds(settings: Settings, wanted: Expected) -> tuple[dict[str, float], dict[str, float]]:
    positive = declarations.load(settings.declaration).positive_types
    half_life_seconds = settings.worker.popularity_half_life_days * 86_400
    sure: dict[str, list[float]] = defaultdict(list)
    unsure: dict[str, list[float]] = defaultdict(list)
    for life in wanted.lives.values():
        for event in life.events.values():
            if event.type in positive:
                sure[event.item_id].append(_mass(event, half_life_seconds))
    for event in wanted.counted:
        if event.type in positive and wanted.lives[event.user_id].erased_at_us is not None:
            unsure[event.item_id].append(_mass(event, half_life_seconds))
    least = {item_id: math.fsum(sure[item_id]) for item_id in wanted.items}
    most = {item_id: math.fsum(sure[item_id] + unsure[item_id]) for item_id in wanted.items}
    return least, most


def _mass(event: Event, half_life_seconds: float) -> float:
    half_lives = (event.occurred_at_us / 1e6 - LANDMARK_SECONDS) / half_life_seconds
    return float(2.0 ** max(-MOST_HALF_LIVES, min(half_lives, MOST_HALF_LIVES)))
