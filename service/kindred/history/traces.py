"""What Postgres holds of one user, counted, and the proof that it was erased."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kindred.history.connection import Database

# A profile that a fast clock dated later than now is known, so it goes: it is no new life (rule 15).
AS_OF = """
SELECT ceil(extract(epoch FROM greatest(now(), max(profile_updated_at))) * 1e3)::bigint
FROM app_user WHERE user_id = %s
"""
HASH = "sha256(l.erasure_key || convert_to(%(user_id)s, 'UTF8'))"
READ = f"""
SELECT u.user_id IS NOT NULL, (u.profile_updated_at IS NOT NULL)::int,
       (SELECT count(*) FROM interaction i WHERE i.user_id = %(user_id)s),
       coalesce(cardinality(u.history_at), 0), u.erased_at, e.erased_at,
       (SELECT count(*) FROM pending_sync p WHERE p.kind = 'user' AND p.id = %(user_id)s),
       (SELECT count(*) FROM letter_search s WHERE s.user_id = %(user_id)s)
FROM lineage l
LEFT JOIN app_user u ON u.user_id = %(user_id)s
LEFT JOIN erasure e ON e.user_hash = {HASH}
"""
READ_DELETED = f"""
SELECT encode(e.user_hash, 'hex'), e.profiles, e.interactions, e.dead_letters, now()
FROM lineage l JOIN erasure e ON e.user_hash = {HASH}
"""
KEEP_PROOF = f"UPDATE erasure e SET proof = %(proof)s::jsonb FROM lineage l WHERE e.user_hash = {HASH}"


@dataclass(frozen=True, slots=True)
class Traces:
    """Rows and values; `noted_at` is the latest erasure's time, also where the row was reaped since."""

    has_row: bool
    profiles: int
    interactions: int
    kept: int
    erased_at: datetime | None
    noted_at: datetime | None
    pending: int
    searches: int

    @property
    def is_known(self) -> bool:
        """Whether anybody has ever seen the user."""
        return self.has_row or self.interactions > 0 or self.noted_at is not None

    @property
    def are_gone(self) -> bool:
        """Whether nothing is left but the id, the time of its erasure and its last revision."""
        return self.erased_at is not None and not (self.profiles or self.interactions or self.kept)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What all erasures of a user have deleted, by the row that remembers them."""

    user_hash: str
    profiles: int
    interactions: int
    dead_letters: int
    read_at: datetime


def as_of_ms(database: Database, user_id: str) -> int:
    """The moment as of which a command erases this user."""
    with database.transaction() as connection:
        row = connection.execute(AS_OF, [user_id]).fetchone()
    assert row is not None
    return int(row[0])


def read(database: Database, user_id: str) -> Traces:
    """What there is now."""
    with database.transaction() as connection:
        row = connection.execute(READ, {"user_id": user_id}).fetchone()
    assert row is not None
    return Traces(*row)


def read_deleted(database: Database, user_id: str) -> Deleted:
    """What the erasure row of a user says, who must have been erased."""
    with database.transaction() as connection:
        row = connection.execute(READ_DELETED, {"user_id": user_id}).fetchone()
    assert row is not None
    return Deleted(*row)


def keep_proof(database: Database, user_id: str, proof: Mapping[str, Any]) -> None:
    """Remember the proof, with the erasure. It must not hold the id."""
    with database.transaction() as connection:
        connection.execute(KEEP_PROOF, {"user_id": user_id, "proof": json.dumps(proof, default=str)})
