"""What changed without a Kafka record behind it: in pending_sync until every model holds it (rule 23)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kindred.history import columns
from kindred.history.connection import Connection

# Later than the row's own time, whatever the clock does: who read the row before this request must not
# delete it afterwards. `excluded` would be older than a request that this one had to wait for.
ASK_AGAIN = """
ON CONFLICT (kind, id) DO UPDATE
SET requested_at = greatest(pending_sync.requested_at + interval '1 microsecond', clock_timestamp()),
    taken_until = '-infinity'
"""
REQUEST = f"""
INSERT INTO pending_sync (kind, id)
SELECT %(kind)s, id FROM unnest(%(ids)s::text[]) AS named (id)
ORDER BY id COLLATE "C"
{ASK_AGAIN}
RETURNING kind, id, (extract(epoch FROM requested_at) * 1e6)::bigint
"""
# Every worker takes its own. Nobody waits here for anybody, and a row whose taker has died is free again
# after a while; written twice, it does no harm.
TAKE = """
WITH free AS (
    SELECT kind, id FROM pending_sync WHERE taken_until < now()
    ORDER BY requested_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE pending_sync p SET taken_until = now() + %(seconds)s * interval '1 second'
FROM free WHERE p.kind = free.kind AND p.id = free.id
RETURNING p.kind, p.id, (extract(epoch FROM p.requested_at) * 1e6)::bigint
"""
TAKEN_SECONDS = 60
FINISH = """
DELETE FROM pending_sync p
USING unnest(%(kinds)s::text[], %(ids)s::text[], %(requested_at_us)s::bigint[]) AS done (kind, id, at_us)
WHERE p.kind = done.kind AND p.id = done.id
  AND p.requested_at <= 'epoch'::timestamptz + done.at_us * interval '1 microsecond'
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows of pending_sync, as columns."""

    kinds: Sequence[str] = ()  # user or item
    ids: Sequence[str] = ()
    requested_at_us: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: Pending) -> Pending:
        return Pending(
            (*self.kinds, *other.kinds),
            (*self.ids, *other.ids),
            (*self.requested_at_us, *other.requested_at_us),
        )

    def of_kind(self, kind: str) -> list[str]:
        return [name for each, name in zip(self.kinds, self.ids, strict=True) if each == kind]


def request(connection: Connection, kind: str, ids: Iterable[str]) -> Pending:
    """Ask that these be written to every model; returns the rows, for `finish`."""
    named = set(ids)
    if not named:
        return Pending()
    return _pending(connection.execute(REQUEST, {"kind": kind, "ids": columns.texts(named)}).fetchall())


def take(connection: Connection, limit: int) -> Pending:
    """Of the rows that nobody has taken, those that have waited longest."""
    return _pending(connection.execute(TAKE, {"limit": limit, "seconds": TAKEN_SECONDS}).fetchall())


def finish(connection: Connection, pending: Pending) -> None:
    """Delete the rows, but those that were requested again since they were read."""
    connection.execute(
        FINISH,
        {
            "kinds": columns.texts(pending.kinds),
            "ids": columns.texts(pending.ids),
            "requested_at_us": columns.bigints(pending.requested_at_us),
        },
    )


def _pending(rows: Sequence[tuple[str, str, int]]) -> Pending:
    return Pending(*map(tuple, zip(*rows, strict=True))) if rows else Pending()
