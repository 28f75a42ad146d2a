"""Tombstones live long enough for every late write to lose against them, and are then reaped (rule 17).

A write that was computed before an erasure is sent within `max_batch_age` of its transaction's beginning, or
never (rule 7); tombstones live 24 times as long. One that was written again for a late event is left alone
until that write, too, must have arrived: the row has to keep its revision while it is watched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from kindred.errors import CollectionGone
from kindred.history import named_letters, reaping
from kindred.history.connection import Database
from kindred.history.reaping import Candidate
from kindred.vectors.points import Points

AGE_IN_BATCH_AGES: Final = 24
WATCHED_BATCH_AGES: Final = 2
SLICE_USERS: Final = 1_000
MOST_SLICES: Final = 100  # are watched at once: so many thousand users go while one is watched
SEARCHED_USERS: Final = 100  # letters are read once for each
# All earlier letters were searched when the user was erased, but for those of transactions then open.
LONGEST_TRANSACTION: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Slice:
    users: Mapping[str, Candidate]
    since_seconds: float


class Reaper:
    """Watches and reaps a slice at a time. Used by one thread of the worker that keeps house."""

    def __init__(
        self, database: Database, points: Points, items_topic: str, max_batch_age_seconds: float
    ) -> None:
        self.is_busy = False  # whether it is worth another turn at once
        self._database = database
        self._points = points
        self._items_topic = items_topic
        self._max_batch_age_seconds = max_batch_age_seconds
        self._watched: deque[_Slice] = deque()
        self._last: Candidate | None = None

    def turn(self, now_seconds: float) -> int:
        """Watch the next slice, and reap the first if it was watched long enough; returns how many went.

        `now_seconds` is a monotonic clock. Raises Outage; what was to be reaped is then watched anew.
        """
        found = self._watch(now_seconds)
        watched_seconds = WATCHED_BATCH_AGES * self._max_batch_age_seconds
        is_due = bool(self._watched) and now_seconds - self._watched[0].since_seconds >= watched_seconds
        self.is_busy = found or is_due
        return self._reap(self._watched.popleft().users) if is_due else 0

    def _watch(self, now_seconds: float) -> bool:
        """False after the last one; the next turn begins with the first again."""
        if len(self._watched) >= MOST_SLICES:
            return False
        age_seconds = AGE_IN_BATCH_AGES * self._max_batch_age_seconds
        found = reaping.candidates(self._database, age_seconds, self._last, SLICE_USERS)
        self._last = found[-1] if len(found) == SLICE_USERS else None
        new = {each.user_id: each for each in found if not self._is_watched(each.user_id)}
        if new:
            self._watched.append(_Slice(new, now_seconds))
        return self._last is not None

    def _is_watched(self, user_id: str) -> bool:
        return any(user_id in each.users for each in self._watched)

    def _reap(self, seen: Mapping[str, Candidate]) -> int:
        """Letters first, for they need the id; the row last, for it is what is found again after a crash."""
        users = [*seen.values()]
        for start in range(0, len(users), SEARCHED_USERS):
            self._delete_letters(users[start : start + SEARCHED_USERS])
        revisions = {user_id: each.revision for user_id, each in seen.items()}
        for model in self._points.models():
            self._delete_tombstones(model, revisions)
        return reaping.delete(self._database, revisions)

    def _delete_letters(self, users: Sequence[Candidate]) -> None:
        """Those that came after the erasure."""
        kept_since = min(each.requested_at for each in users) - LONGEST_TRANSACTION
        named = dict.fromkeys((each.user_id for each in users), None)
        named_letters.delete_all(self._database, named, self._items_topic, kept_since)

    def _delete_tombstones(self, model: str, seen: Mapping[str, int]) -> None:
        try:
            self._points.delete_tombstones(model, seen)
        except CollectionGone:  # dropped a moment ago
            return
