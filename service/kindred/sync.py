"""One batch, from records to vectors: the whole story.

    records ─ decode ─► events ─ one transaction ─► histories + revision ─ towers ─► vectors ─► Qdrant

A worker runs the three steps on three threads, so that the next batch is in Postgres while this one is
in the tower; `Syncer.sync` runs them one after another. Offsets are committed after the last step. A
crash anywhere before means that the records come again, and end in the same state: the log knows each
event once, and a vector only ever moves up in revision. intake.py tells what happens to records that
Postgres refuses, and to partitions that are mostly poison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.fleet import Fleet
from kindred.errors import CollectionGone
from kindred.events.breaker import Breaker
from kindred.events.rebalances import Partition
from kindred.events.schema import Contract, Record
from kindred.history.store import Affected, HistoryStore, Pending
from kindred.intake import Delivery, Intake
from kindred.vectors.index import Index
from kindred.vectors.seen import SeenItems

Vectors = Mapping[str, NDArray[np.float32]]  # by model
PointId = int | str


@dataclass(frozen=True, slots=True)
class Embedded:
    """A transaction's outcome with the vectors that every model gives it."""

    affected: Affected
    users: Vectors
    items: Vectors
    seen: Sequence[Sequence[PointId]]


class _TooOld(Exception):
    """A batch that must not be written any more."""


class Syncer:
    """The three steps. Each is called from one thread at a time; `apply` and the rest may overlap."""

    def __init__(
        self,
        contract: Contract,
        breaker: Breaker,
        history: HistoryStore,
        fleet: Fleet,
        index: Index,
        seen: SeenItems,
        *,
        max_batch_age_seconds: float = 300.0,
    ) -> None:
        self._intake = Intake(contract, breaker, history)
        self._history = history
        self._fleet = fleet
        self._index = index
        self._seen = seen
        self._max_batch_age_seconds = max_batch_age_seconds

    def sync(self, records: Sequence[Record], pending: Pending | None = None) -> list[Affected]:
        """The whole way, one step after another."""
        done = self.apply(records, pending)
        for affected in done:
            self.upsert(self.embed(affected))
        return done

    def apply(
        self,
        records: Sequence[Record],
        pending: Pending | None = None,
        begins: Mapping[Partition, int] | None = None,
    ) -> list[Affected]:
        """Records into Postgres, `begins` naming up to where it must hold their partitions already.

        One transaction, or several where Postgres refuses a record. Raises PartitionsTripped: call again
        without what it names; LostHistory; or Outage: call again with the same.
        """
        return self._intake.apply(Delivery(records, pending or Pending(), begins or {}))

    def embed(self, affected: Affected) -> Embedded:
        """Histories into vectors, with the item content that the transaction saw (rule 1)."""
        self._fleet.update_items(affected.changed_items)
        self._seen.update_items(affected.changed_items)
        return Embedded(
            affected,
            users=self._fleet.embed(affected.models, affected.histories),
            items=self._fleet.embed_items(affected.models, affected.items),
            seen=self._seen.of(affected.histories),
        )

    def upsert(self, embedded: Embedded) -> None:
        """Vectors into Qdrant, fenced by the revision. Raises Outage."""
        affected = embedded.affected
        try:
            with self._index.checked(partial(self._check_age, affected)):
                for model in self._addressed(affected):
                    for write in self._writes(model, embedded):
                        self._write(model, write)
        except _TooOld:
            return self._history.request_again(affected)
        if affected.pending:
            self._history.finish_pending(affected.pending)
        return None

    def _check_age(self, affected: Affected) -> None:
        """Before each request: an erasure may have come and gone meanwhile (rule 7)."""
        if affected.age_seconds > self._max_batch_age_seconds:
            raise _TooOld

    def _addressed(self, affected: Affected) -> Sequence[str]:
        """Whose collections must hear of it: of a tombstone, all that were not dropped yet (rule 16)."""
        if not (affected.erased or affected.removed_items):
            return affected.models
        return sorted({*affected.models, *self._index.points.models()})

    def _write(self, model: str, write: Callable[[], None]) -> None:
        try:
            write()
        except CollectionGone:
            if model in self._history.models():  # else it was retired meanwhile (rule 25)
                raise

    def _writes(self, model: str, embedded: Embedded) -> Iterator[Callable[[], None]]:
        """What this model's collections must hear, one request or a few each; tombstones alone if retired."""
        affected, index, revision = embedded.affected, self._index, embedded.affected.revision
        if model in embedded.users:
            yield partial(
                index.write_users, model, affected.histories, embedded.users[model], embedded.seen, revision,
                affected.at_us,
            )  # fmt: skip
        if affected.erased:
            yield partial(
                index.write_user_tombstones, model, affected.erased, revision, affected.erased_at_us
            )
        if model in embedded.items:
            yield partial(index.write_items, model, affected.items, embedded.items[model], revision)
        if affected.payload_items and model in affected.models:
            yield partial(index.write_item_payloads, model, affected.payload_items, revision)
        if affected.removed_items:
            removed = [item.item_id for item in affected.removed_items]
            yield partial(index.write_item_tombstones, model, removed, revision)
