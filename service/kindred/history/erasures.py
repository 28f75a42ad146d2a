"""Erasure inside a batch's transaction (rules 13 to 15)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kindred.events.schema import Erasure, Profile
from kindred.history import columns, named_letters
from kindred.history.connection import Connection

# Erasure is monotone: nothing to do where `erased_at` is already that late (rule 13). What goes is what
# `State.admits` would keep out had the erasure come first, by the events' own times (when they were
# recorded is not kept). So with a newer profile (`described_at`: one that comes in this very batch), what
# lies at or before the erasure; otherwise everything, also what a producer whose clock runs ahead dated
# later; where interactions re-open an id, all within the skew.
# `old` is what LOCK_USERS locked.
MARK = """
UPDATE app_user u
SET erased_at = e.erased_at,
    profile = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile END,
    profile_digest = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile_digest END,
    profile_updated_at = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile_updated_at END
FROM (SELECT user_id, at_us, described_at_us,
             'epoch'::timestamptz + at_us * interval '1 microsecond' AS erased_at
      FROM unnest(%(user_ids)s::text[], %(erased_at_us)s::bigint[], %(described_at_us)s::bigint[])
           AS e (user_id, at_us, described_at_us)) e
JOIN app_user old USING (user_id)
WHERE u.user_id = e.user_id AND (u.erased_at IS NULL OR u.erased_at < e.erased_at)
RETURNING u.user_id,
          CASE WHEN u.profile_updated_at IS NOT NULL OR e.described_at_us > e.at_us THEN e.at_us
               ELSE e.at_us + %(reopen_skew_us)s::bigint END,
          (old.profile_updated_at IS NOT NULL AND u.profile_updated_at IS NULL)::int
"""
# `gone_until_us` is null for everything.
MARKED = """
(SELECT user_id, coalesce('epoch'::timestamptz + until_us * interval '1 microsecond', 'infinity') AS until
 FROM unnest(%(user_ids)s::text[], %(gone_until_us)s::bigint[]) AS e (user_id, until_us)) e
"""
DELETE_INTERACTIONS = f"""
WITH gone AS (
    DELETE FROM interaction i USING {MARKED} WHERE i.user_id = e.user_id AND i.occurred_at <= e.until
    RETURNING i.user_id
)
SELECT user_id, count(*) FROM gone GROUP BY user_id
"""
# What is left of a window is its newest end.
CUT_WINDOWS = f"""
UPDATE app_user u
SET history_at = u.history_at[w.gone + 1:],
    history_items = u.history_items[w.gone + 1:],
    history_types = u.history_types[w.gone + 1:],
    history_length = w.length,
    last_event_at = CASE WHEN w.gone < cardinality(u.history_at) THEN u.last_event_at END
FROM (SELECT e.user_id,
             (SELECT count(*)::int FROM unnest(old.history_at) AS at WHERE at <= e.until) AS gone,
             (SELECT count(*) FROM interaction i WHERE i.user_id = e.user_id) AS length
      FROM {MARKED} JOIN app_user old USING (user_id)) w
WHERE u.user_id = w.user_id
"""
# The counts are kept with the erasure, in its transaction: a proof that is made later has nothing to count.
# Those of dead letters come with their search (named_letters.py), which looks at all of their bytes.
NOTE = """
INSERT INTO erasure (user_hash, erased_at, profiles, interactions, dead_letters)
SELECT sha256(l.erasure_key || convert_to(u.user_id, 'UTF8')), u.erased_at, e.profiles, e.interactions, 0
FROM unnest(%(user_ids)s::text[], %(profiles)s::bigint[], %(interactions)s::bigint[])
     AS e (user_id, profiles, interactions)
JOIN app_user u USING (user_id) CROSS JOIN lineage l
ORDER BY 1
ON CONFLICT (user_hash) DO UPDATE
SET erased_at = greatest(erasure.erased_at, excluded.erased_at),
    requested_at = excluded.requested_at,
    profiles = erasure.profiles + excluded.profiles,
    interactions = erasure.interactions + excluded.interactions
"""
KEEP_REASON = """
UPDATE erasure e SET reason = %(reason)s
FROM lineage l, unnest(%(user_ids)s::text[]) AS named (user_id)
WHERE e.user_hash = sha256(l.erasure_key || convert_to(named.user_id, 'UTF8'))
"""


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

    def admits(self, occurred_at_us: int, recorded_at_us: int | None = None) -> bool:
        """Whether an interaction of that time belongs to the new life.

        One that was recorded before the erasure does not, whatever it is dated: delivered again, what a clock
        ahead has dated later would be the old life in the new one.
        """
        if recorded_at_us is not None and recorded_at_us <= self.erased_at_us:
            return False
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
    connection: Connection,
    erasures: Sequence[Erasure],
    profiles: Sequence[Profile],
    reopen_skew_us: int | None,
    reason: str | None = None,
) -> None:
    """Delete what each erasure ends; the rows are locked already. `profiles`: all of the same batch.

    `reason` is kept, with erasures that change nothing too.
    """
    if not erasures:
        return
    erased_at_us = _latest((erasure.user_id, erasure.erased_at_us) for erasure in erasures)
    described_at_us = _latest((profile.user_id, profile.updated_at_us) for profile in profiles)
    marks = {
        "user_ids": columns.texts(erased_at_us),
        "erased_at_us": columns.bigints([*erased_at_us.values()]),
        "described_at_us": [described_at_us.get(user_id) for user_id in erased_at_us],
        "reopen_skew_us": reopen_skew_us,
    }
    if marked := connection.execute(MARK, marks).fetchall():
        _delete(connection, *zip(*marked, strict=True))
    if reason is not None:
        connection.execute(KEEP_REASON, {"user_ids": columns.texts(erased_at_us), "reason": reason})


def _delete(
    connection: Connection,
    user_ids: tuple[str, ...],
    gone_until_us: tuple[int | None, ...],
    profiles: tuple[int, ...],
) -> None:
    named: dict[str, object] = {"user_ids": columns.texts(user_ids), "gone_until_us": list(gone_until_us)}
    interactions: dict[str, int] = dict(connection.execute(DELETE_INTERACTIONS, named).fetchall())
    connection.execute(CUT_WINDOWS, named)
    counts = {
        "profiles": columns.bigints(profiles),
        "interactions": columns.bigints([interactions.get(user_id, 0) for user_id in user_ids]),
    }
    connection.execute(NOTE, named | counts)
    named_letters.request(connection, user_ids)


def _latest(times_us: Iterable[tuple[str, int]]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for user_id, time_us in times_us:
        latest[user_id] = max(latest.get(user_id, time_us), time_us)
    return latest
