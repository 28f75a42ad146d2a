"""Everything Kindred raises on purpose, and what each kind means for a running worker.

    KindredError
    ├── Misconfigured            stop: exit code 1 and one sentence that says what to change
    │   ├── ModelMismatch        a checkpoint that is altered, unreadable, or not the one that is live
    │   ├── SchemaOutdated       `kindred migrate` has not run
    │   └── LostHistory          Postgres is behind Qdrant: restored from a backup, or failed over with loss
    ├── Outage                   wait and try again, for as long as it takes; never a dead letter
    ├── RefusedByPostgres        deterministic: bisect the batch, the record becomes a dead letter
    ├── PartitionsTripped        mostly poison: these partitions wait for a decision, the others go on
    ├── CollectionGone           404 from Qdrant: read the models again
    └── UnknownItem, UnknownUser   a query about an id that nobody has seen

The message of an exception is written for the person on call: what is wrong, then what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


class KindredError(Exception):
    """The root: catch this to catch everything that Kindred raises on purpose."""


class Misconfigured(KindredError):
    """Something a person must change before a start can succeed."""


class ModelMismatch(Misconfigured):
    """A checkpoint that is altered, unreadable, or not the model that the collections hold."""


class SchemaOutdated(Misconfigured):
    """The database schema is missing or older than this version: run `kindred migrate`."""


class LostHistory(Misconfigured):
    """The highest revision in Qdrant is ahead of Postgres, which has lost history."""


class Outage(KindredError):
    """A server is unreachable, overloaded or timed out; the same call may succeed later."""

    def __init__(
        self, server: str, reason: str, retry_after_seconds: float = 0.0, *, is_busy: bool = False
    ) -> None:
        super().__init__(f"{server}: {reason}")
        self.server = server
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds  # as the server asked
        self.is_busy = is_busy  # it is there, and could not do this now


class RefusedByPostgres(KindredError):
    """Postgres deterministically refuses a value of this batch (SQLSTATE classes 22 and 23)."""


class PartitionsTripped(KindredError):
    """The share of poison on these (topic, partition) is over the limit.

    Nothing of them was written, but for what lies before `first_left`, where that names one.
    """

    def __init__(
        self, reasons: Mapping[tuple[str, int], str], first_left: Mapping[tuple[str, int], int] | None = None
    ) -> None:
        names = ", ".join(
            f"{topic}[{partition}] ({why})" for (topic, partition), why in sorted(reasons.items())
        )
        super().__init__(
            f"Most records of {names} cannot be taken, so it is paused. Mend the declaration or, where "
            "Postgres refuses them, the database, and restart the workers; or mend the producer and let "
            "what it wrote become dead letters with `kindred breaker accept`."
        )
        self.reasons = reasons  # of most of the poison
        self.first_left = first_left or {}

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        return frozenset(self.reasons)


class CollectionGone(KindredError):
    """Qdrant no longer has a collection that this batch writes."""


class UnknownUser(KindredError):
    """Nobody has seen this user."""


class UnknownItem(KindredError):
    """Nobody has seen this item, or it was removed."""
