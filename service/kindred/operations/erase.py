"""`kindred erase`: one user, by the same transaction and the same tombstone as a record on `users`.

Each step can be repeated, and the transaction leaves what is missing written down: the user stands in
pending_sync and in letter_search, so that a worker finishes whatever dies after it. Letters that come later
are looked for once more before the row is reaped (reaping.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kindred.errors import CollectionGone, Misconfigured, Outage
from kindred.events.decode import decode
from kindred.events.schema import Contract, Decoded, Record
from kindred.history import named_letters, traces
from kindred.history.connection import Database
from kindred.history.store import ANY_FLOOR_US, Affected, HistoryStore, Origin
from kindred.history.traces import Traces
from kindred.operations.proof import Proof, proof
from kindred.vectors.index import Index
from kindred.vectors.points import Point

_LATEST = 2**53


@dataclass(frozen=True, slots=True)
class Eraser:
    """What erasing takes. Raises Outage where Postgres is away; nothing is erased then."""

    database: Database
    history: HistoryStore
    index: Index
    contract: Contract
    max_batch_age_seconds: float
    remembers_ids: bool  # a model that reads user ids

    def preview(self, user_id: str) -> tuple[Traces, int]:
        """What there is to delete, and how many dead letters name the user."""
        self._tombstone(user_id, 0)
        return traces.read(self.database, user_id), self._count_letters(user_id)

    def erase(self, user_id: str, reason: str | None = None) -> Proof:
        """Erase as of now, and look whether it is true. Raises Misconfigured for what is no id."""
        self._tombstone(user_id, 0)
        before = traces.read(self.database, user_id)
        decoded = self._tombstone(user_id, traces.as_of_ms(self.database, user_id))
        # Nothing of the items is needed here, so the cursor spares reading the catalogue.
        self.history.catalogue.cursor = _LATEST
        origin = Origin(by_command=True, reason=reason)
        self._bury(self.history.apply(decoded, floor_us=ANY_FLOOR_US, origin=origin))
        named_letters.search_at_once(self.database, user_id, self.contract.items_topic)
        return self._prove(user_id, before)

    def _tombstone(self, user_id: str, timestamp_ms: int) -> Decoded:
        key = user_id.encode(errors="surrogateescape")  # what a shell passes need not be UTF-8
        decoded = decode([Record(self.contract.users_topic, 0, 0, timestamp_ms, key, None)], self.contract)
        for letter in decoded.dead_letters:
            raise Misconfigured(f"Nobody can have this id: {letter.detail}.")
        return decoded

    def _bury(self, affected: Affected) -> None:
        """Tombstones in every collection, also of retired models; a worker does it where this cannot."""
        if not affected.erased or affected.age_seconds > self.max_batch_age_seconds:  # rule 7
            return
        try:
            for model in sorted({*self.index.points.models(), *affected.models}):
                self.index.write_user_tombstones(
                    model, affected.erased, affected.revision, affected.erased_at_us
                )
        except (Outage, CollectionGone):
            return
        self.history.finish_pending(affected.pending)

    def _prove(self, user_id: str, before: Traces) -> Proof:
        found = proof(
            before,
            traces.read(self.database, user_id),
            traces.read_deleted(self.database, user_id),
            self._count_letters(user_id),
            self._points(user_id),
            remembers_ids=self.remembers_ids,
        )
        traces.keep_proof(self.database, user_id, found.as_dict())
        return found

    def _points(self, user_id: str) -> Mapping[str, Point | None] | None:
        points = self.index.points
        try:
            return {
                model: points.retrieve(model, "user", [user_id]).get(user_id) for model in points.models()
            }
        except (Outage, CollectionGone):
            return None

    def _count_letters(self, user_id: str) -> int:
        return named_letters.count(self.database, user_id, self.contract.items_topic)
