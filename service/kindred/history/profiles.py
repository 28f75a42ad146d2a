"""Profiles inside a batch's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from kindred.events.schema import Profile
from kindred.history import statements as sql
from kindred.history.connection import Connection


def merge(connection: Connection, profiles: Sequence[Profile]) -> None:
    """Write the newest of each user, unless Postgres knows a newer one or a later erasure."""
    newest: dict[str, Profile] = {}
    for profile in profiles:
        known = newest.get(profile.user_id)
        if known is None or (known.updated_at_us, known.digest) < (profile.updated_at_us, profile.digest):
            newest[profile.user_id] = profile
    if newest:
        written = list(newest.values())
        connection.execute(
            sql.MERGE_PROFILES,
            {
                "user_ids": [profile.user_id for profile in written],
                "updated_at_us": [profile.updated_at_us for profile in written],
                "profiles": [profile.attributes for profile in written],
                "digests": [profile.digest for profile in written],
            },
        )
