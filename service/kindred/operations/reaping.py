"""Tombstones live long enough for every late write to lose against them, and are then reaped (rule 17).

A write that was computed before an erasure is sent within `max_batch_age` of its transaction's beginning, or
never (rule 7); tombstones live 24 times as long. One that was written again for a late event is left alone
until that write, too, must have arrived: the row has to keep its revision while it is watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kindred.errors import CollectionGone
from kindred.history import named_letters, reaping
from kindred.history.connection import Database
from kindred.vectors.points import Points

AGE_IN_BATCH_AGES: Final = 24
WATCHED_BATCH_AGES: Final = 2
SLICE_USERS: Final = 1_000
SEARCHED_USERS: Final = 100  # letters are read once for each


class Reaper:
    """Reaps a slice at a time. Used by one thread of the worker that keeps house."""

    def __init__(
        self, database: Database, points: Points, items_topic: str, max_batch_age_seconds: float
    ) -> None:
        self._database = database
        self._points = points
        self._items_topic = items_topic
        self._max_batch_age_seconds = max_batch_age_seconds
        self._watched: Mapping[str, int] = {}
        self._watched_since_seconds = 0.0

    def turn(self, now_seconds: float) -> int:
        """Watch the next slice, or reap the one that was watched long enough; returns how many went.

        `now_seconds` is a monotonic clock. Raises Outage; then the next turn begins anew.
        """
        if not self._watched:
            self._watch(now_seconds)
            return 0
        if now_seconds - self._watched_since_seconds < WATCHED_BATCH_AGES * self._max_batch_age_seconds:
            return 0
        seen, self._watched = self._watched, {}
        return self._reap(seen)

    def _watch(self, now_seconds: float) -> None:
        age_seconds = AGE_IN_BATCH_AGES * self._max_batch_age_seconds
        self._watched = reaping.candidates(self._database, age_seconds, SLICE_USERS)
        self._watched_since_seconds = now_seconds

    def _reap(self, seen: Mapping[str, int]) -> int:
        """Letters first, for they need the id; the row last, for it is what is found again after a crash."""
        users = [*seen]
        for start in range(0, len(users), SEARCHED_USERS):
            named = users[start : start + SEARCHED_USERS]
            for found in named_letters.search(self._database, named, self._items_topic):
                named_letters.delete(self._database, found)
        for model in self._points.models():
            self._delete_tombstones(model, seen)
        return reaping.delete(self._database, seen)

    def _delete_tombstones(self, model: str, seen: Mapping[str, int]) -> None:
        try:
            self._points.delete_tombstones(model, seen)
        except CollectionGone:  # dropped a moment ago
            return
