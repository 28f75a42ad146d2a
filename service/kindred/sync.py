"""One batch, from records to vectors: the whole story.

    records ─ decode ─► events ─ one transaction ─► histories + revision ─ towers ─► vectors ─► Qdrant

A worker runs the three steps on three threads, so that the next batch is in Postgres while this one is
in the tower; `Syncer.sync` runs them one after another. Offsets are committed after the last step. A
crash anywhere before means that the records come again, and end in the same state: the log knows each
event once, and a vector only ever moves up in revision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.embedding.fleet import Fleet
from kindred.errors import CollectionGone, Outage, PartitionsTripped, RefusedByPostgres
from kindred.events.breaker import Breaker, count_by_partition
from kindred.events.decode import decode
from kindred.events.schema import Contract, DeadLetter, Decoded, Reason, Record
from kindred.history.store import Affected, HistoryStore, Origin, Pending, RetentionFloorRaised
from kindred.history.window import Item
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
        self._contract = contract
        self._breaker = breaker
        self._history = history
        self._fleet = fleet
        self._index = index
        self._seen = seen
        self._max_batch_age_seconds = max_batch_age_seconds
        self._untold_items: list[Item] = []

    def sync(self, records: Sequence[Record], pending: Pending | None = None) -> list[Affected]:
        """The whole way, one step after another."""
        done = self.apply(records, pending)
        for affected in done:
            self.upsert(self.embed(affected))
        return done

    def apply(self, records: Sequence[Record], pending: Pending | None = None) -> list[Affected]:
        """Records into Postgres: one transaction, or several where Postgres refuses a record (rule 9).

        Raises PartitionsTripped before anything is written, or Outage: then call again with the same.
        """
        decoded = decode(records, self._contract)
        counts = count_by_partition(records, decoded.dead_letters)
        if tripped := self._breaker.tripped(counts):
            raise PartitionsTripped(tripped)
        done: list[Affected] = []
        try:
            self._apply(decoded, records, pending or Pending(), done)
        except Outage:
            # Earlier halves have committed and will be applied again, but their item changes are told once.
            self._untold_items.extend(item for affected in done for item in affected.changed_items)
            raise
        self._breaker.count(counts)
        if self._untold_items:
            done[0] = replace(done[0], changed_items=[*self._untold_items, *done[0].changed_items])
            self._untold_items = []
        return done

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
        for model in affected.models:
            for write in self._writes(model, embedded):
                if self._is_too_old(affected):  # an erasure may have come and gone meanwhile (rule 7)
                    return self._history.request_again(affected)
                self._write(model, write)
        if affected.pending:
            self._history.finish_pending(affected.pending)
        return None

    def _apply(
        self, decoded: Decoded, records: Sequence[Record], pending: Pending, done: list[Affected]
    ) -> None:
        try:
            done.append(self._transact(decoded, records, pending))
        except RetentionFloorRaised as raised:
            self._contract = msgspec.structs.replace(self._contract, floor_us=raised.floor_us)
            self._apply(decode(records, self._contract), records, pending, done)
        except RefusedByPostgres as refusal:
            self._apply_halves(records, pending, done, refusal)

    def _apply_halves(
        self, records: Sequence[Record], pending: Pending, done: list[Affected], refusal: RefusedByPostgres
    ) -> None:
        if not records:
            raise refusal
        if len(records) == 1:
            letter = DeadLetter(records[0], Reason.REFUSED_BY_POSTGRES, str(refusal))
            done.append(self._transact(Decoded(dead_letters=[letter]), records, pending))
            return
        middle = len(records) // 2
        for half, its_pending in ((records[:middle], pending), (records[middle:], Pending())):
            self._apply(decode(half, self._contract), half, its_pending, done)

    def _transact(self, decoded: Decoded, records: Sequence[Record], pending: Pending) -> Affected:
        offsets = {(record.topic, record.partition): record.offset + 1 for record in records}
        return self._history.apply(
            decoded, floor_us=self._contract.floor_us, pending=pending, origin=Origin(offsets)
        )

    def _is_too_old(self, affected: Affected) -> bool:
        now_seconds = time.clock_gettime(time.CLOCK_BOOTTIME)  # counts a suspended machine's time too
        return now_seconds - affected.began_at_seconds > self._max_batch_age_seconds

    def _write(self, model: str, write: Callable[[], None]) -> None:
        try:
            write()
        except CollectionGone:
            if model in self._history.models():  # else it was retired meanwhile (rule 25)
                raise

    def _writes(self, model: str, embedded: Embedded) -> Iterator[Callable[[], None]]:
        """What this model's collections must hear, one request or a few each."""
        affected, index, revision = embedded.affected, self._index, embedded.affected.revision
        if len(affected.histories):
            vectors, now_us = embedded.users[model], time.time_ns() // 1000
            yield partial(
                index.write_users, model, affected.histories, vectors, embedded.seen, revision, now_us
            )
        if affected.erased:
            yield partial(
                index.write_user_tombstones, model, affected.erased, revision, affected.erased_at_us
            )
        if affected.items:
            yield partial(index.write_items, model, affected.items, embedded.items[model], revision)
        if affected.payload_items:
            yield partial(index.write_item_payloads, model, affected.payload_items, revision)
        if affected.removed_items:
            removed = [item.item_id for item in affected.removed_items]
            yield partial(index.write_item_tombstones, model, removed, revision)
