"""Profiles inside a batch's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from kindred.events.schema import Profile
from kindred.history import columns
from kindred.history.connection import Connection

# Later `updated_at` wins; of two with one time, the higher digest (rule 2). A profile that is not newer
# than the erasure stays out (rule 15).
MERGE = """
UPDATE app_user u
SET profile = p.profile::jsonb, profile_updated_at = p.updated_at, profile_digest = p.digest
FROM (SELECT user_id, 'epoch'::timestamptz + at_us * interval '1 microsecond' AS updated_at, profile, digest
      FROM unnest(%(user_ids)s::text[], %(updated_at_us)s::bigint[], %(profiles)s::text[],
                  %(digests)s::bytea[]) AS p (user_id, at_us, profile, digest)) p
WHERE u.user_id = p.user_id
  AND (u.profile_updated_at IS NULL OR (p.updated_at, p.digest) > (u.profile_updated_at, u.profile_digest))
  AND (u.erased_at IS NULL OR p.updated_at > u.erased_at)
"""


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
            MERGE,
            {
                "user_ids": columns.texts([profile.user_id for profile in written]),
                "updated_at_us": columns.bigints([profile.updated_at_us for profile in written]),
                "profiles": columns.texts([profile.attributes for profile in written]),
                "digests": columns.blobs([profile.digest for profile in written]),
            },
        )
