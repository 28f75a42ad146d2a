"""Erasure inside a batch's transaction (rules 13 to 15)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kindred.events.schema import Erasure
from kindred.history import statements as sql
from kindred.history.connection import Connection


@dataclass(frozen=True, slots=True)
class State:
    """A user who was erased once. Only a newer profile re-opens the id.

    Where no profiles are used, an interaction later than the erasure plus `reopen_skew_us` does too.
    """

    erased_at_us: int
    profile_updated_at_us: int | None
    last_event_at_us: int | None
    reopen_skew_us: int | None

    @property
    def is_erased(self) -> bool:
        return not (self._has_new_profile or self._reopened_by(self.last_event_at_us))

    def admits(self, occurred_at_us: int) -> bool:
        """Whether an interaction of that time belongs to the new life."""
        if self._has_new_profile:
            return occurred_at_us > self.erased_at_us
        return self._reopened_by(occurred_at_us)

    @property
    def _has_new_profile(self) -> bool:
        return self.profile_updated_at_us is not None and self.profile_updated_at_us > self.erased_at_us

    def _reopened_by(self, occurred_at_us: int | None) -> bool:
        if self.reopen_skew_us is None or occurred_at_us is None:
            return False
        return occurred_at_us > self.erased_at_us + self.reopen_skew_us


def states(
    rows: Iterable[tuple[str, int | None, int | None, int | None]], reopen_skew_us: int | None
) -> dict[str, State]:
    """The once-erased among locked rows (user_id, erased_at, profile_updated_at, last_event_at; in us)."""
    return {
        user_id: State(erased_at_us, profile_at_us, last_at_us, reopen_skew_us)
        for user_id, erased_at_us, profile_at_us, last_at_us in rows
        if erased_at_us is not None
    }


def apply(
    connection: Connection, erasures: Sequence[Erasure], history_limit: int, reopen_skew_us: int | None
) -> None:
    """Delete what lies at or before each erasure; the rows are locked already."""
    if not erasures:
        return
    latest: dict[str, int] = {}
    for erasure in erasures:
        latest[erasure.user_id] = max(latest.get(erasure.user_id, erasure.erased_at_us), erasure.erased_at_us)
    marks = {
        "user_ids": list(latest),
        "erased_at_us": list(latest.values()),
        "reopen_skew_us": reopen_skew_us,
    }
    effective = connection.execute(sql.MARK_ERASED, marks).fetchall()
    if effective:
        _delete(connection, [row[0] for row in effective], [row[1] for row in effective], history_limit)


def _delete(connection: Connection, user_ids: list[str], reopened: list[bool], history_limit: int) -> None:
    named = {"user_ids": user_ids, "reopened": reopened, "history_limit": history_limit}
    connection.execute(sql.DELETE_ERASED_INTERACTIONS, named)
    connection.execute(sql.REBUILD_ERASED_WINDOWS, named)
    connection.execute(sql.DELETE_ERASED_DEAD_LETTERS, named)
    connection.execute(sql.NOTE_ERASURES, named)
