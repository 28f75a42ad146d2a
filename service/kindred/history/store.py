"""One batch, one transaction: the only writer of histories."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.events.schema import Decoded, Interaction
from kindred.history import columns, dead_letters, erasures, items, profiles
from kindred.history import statements as sql
from kindred.history.connection import Connection, Database
from kindred.history.event_types import EventTypes
from kindred.history.window import Histories, Item

POPULARITY_LANDMARK_SECONDS = 1_767_225_600  # 2026-01-01: forward decay counts from here


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows of pending_sync: what changed without a record behind it (rule 23)."""

    kinds: Sequence[str] = ()
    ids: Sequence[str] = ()
    requested_at_us: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def of_kind(self, kind: str) -> list[str]:
        return [name for each, name in zip(self.kinds, self.ids, strict=True) if each == kind]


@dataclass(frozen=True, slots=True)
class Affected:
    """What one transaction left behind, and what Qdrant must now hear of it."""

    revision: int
    models: Sequence[str]  # to write, as read under the batch lock (rule 5)
    began_at_seconds: float  # boottime clock, which counts suspend (rule 7)
    histories: Histories
    erased: Sequence[str]  # users: tombstones (rule 14)
    changed_items: Sequence[Item]  # all that changed since the last batch, whoever changed them
    items: Sequence[Item] = ()  # embed and write
    payload_items: Sequence[Item] = ()  # write the payload, embed nothing
    removed_items: Sequence[Item] = ()  # tombstones
    fresh: int = 0
    duplicates: int = 0
    dropped: int = 0  # interactions of erased users
    dead_letters: Mapping[str, int] = field(default_factory=dict)  # by reason
    event_types: Mapping[str, int] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)


class RetentionFloorRaised(Exception):
    """Partitions were dropped since the batch was decoded: decode again with this floor."""

    def __init__(self, floor_us: int) -> None:
        super().__init__(floor_us)
        self.floor_us = floor_us


class HistoryStore:
    """Applies decoded batches. Not thread-safe: one per worker, for it owns the item catalogue."""

    def __init__(
        self,
        database: Database,
        declaration: Declaration,
        *,
        history_limit: int = 100,
        popularity_half_life_days: float = 14.0,
        reopen_skew_us: int | None = None,
    ) -> None:
        self._database = database
        self._declaration = declaration
        self._features = frozenset(declaration.item)
        self._history_limit = history_limit
        self._half_life_seconds = popularity_half_life_days * 86_400
        self._reopen_skew_us = reopen_skew_us
        self._event_types = EventTypes(database, declaration)
        self.catalogue = items.Catalogue()

    def load_catalogue(self) -> list[Item]:
        """Read every item once, at start; `apply` reports what changes afterwards."""
        with self._database.transaction() as connection:
            known = items.read_changed(connection, -1)
        self.catalogue = items.Catalogue()
        self.catalogue.advance(known)
        return known

    def pending(self, limit: int) -> Pending:
        """The oldest rows of pending_sync."""
        with self._database.transaction() as connection:
            rows = connection.execute(sql.READ_PENDING, {"limit": limit}).fetchall()
        return Pending(*map(tuple, zip(*rows, strict=True))) if rows else Pending()

    def finish_pending(self, pending: Pending) -> None:
        """Every model holds what these rows asked for."""
        with self._database.transaction() as connection:
            connection.execute(
                sql.DELETE_PENDING,
                {
                    "kinds": list(pending.kinds),
                    "ids": list(pending.ids),
                    "requested_at_us": list(pending.requested_at_us),
                },
            )

    def models(self) -> list[str]:
        """Models that must be written now."""
        with self._database.transaction() as connection:
            row = connection.execute(sql.READ_INSTALLATION).fetchone()
        return list(row[2]) if row else []

    def request_again(self, affected: Affected) -> None:
        """Ask that all users and items of a batch be written once more, from a new transaction."""
        users = [*affected.histories.user_ids, *affected.erased]
        named = [*affected.items, *affected.payload_items, *affected.removed_items]
        with self._database.transaction() as connection:
            for kind, ids in (("user", users), ("item", [item.item_id for item in named])):
                connection.execute(sql.REQUEST_SYNC, {"kind": kind, "ids": ids})

    def apply(
        self, decoded: Decoded, *, floor_us: int | None = None, pending: Pending | None = None
    ) -> Affected:
        """Bring a batch into Postgres, once, however often it is delivered.

        `floor_us` is the retention floor the batch was decoded with. Raises RetentionFloorRaised,
        RefusedByPostgres (bisect the batch), Outage (try again) or Misconfigured (stop).
        """
        began_at_seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
        with self._database.transaction() as connection:
            batch = _Transaction(self, connection, decoded, pending or Pending())
            affected = batch.run(floor_us, began_at_seconds)
        self.catalogue.advance(affected.changed_items)
        return affected


class _Transaction:
    """The steps of one batch's transaction, in the order that the locks demand."""

    def __init__(
        self, store: HistoryStore, connection: Connection, decoded: Decoded, pending: Pending
    ) -> None:
        self._store = store
        self._connection = connection
        self._decoded = decoded
        self._pending = pending
        self._user_ids = sorted(_users_of(decoded) | set(pending.of_kind("user")))

    def run(self, floor_us: int | None, began_at_seconds: float) -> Affected:
        epoch, models = self._enter(floor_us)
        erased = self._settle_users()
        admitted, dropped = _admitted(self._decoded.interactions, erased)
        revision, item_writes, changed = self._settle_items(epoch)
        rows = self._merge(admitted, revision, changed)
        dead_letters.insert(self._connection, self._decoded.dead_letters)
        gone = {user_id for user_id, state in erased.items() if state.is_erased}
        histories = self._histories([row for row in rows if row[0] not in gone])
        fresh = sum(row[6] for row in rows)
        return Affected(
            revision=revision,
            models=tuple(models),
            began_at_seconds=began_at_seconds,
            histories=histories,
            erased=sorted(gone),
            changed_items=changed,
            fresh=fresh,
            duplicates=len(self._decoded.interactions) - dropped - fresh,
            dropped=dropped,
            dead_letters=Counter(letter.reason.value for letter in self._decoded.dead_letters),
            event_types=Counter(event.type for event in self._decoded.interactions),
            pending=self._pending,
            **self._item_points(item_writes, changed),
        )

    def _enter(self, floor_us: int | None) -> tuple[int, list[str]]:
        self._connection.execute(sql.LOCK_BATCH)
        row = self._connection.execute(sql.READ_INSTALLATION).fetchone()
        assert row is not None  # the migration inserts it
        epoch, floor_now_us, models = row
        if floor_now_us is not None and (floor_us is None or floor_us < floor_now_us):
            raise RetentionFloorRaised(floor_now_us)
        return epoch, models

    def _settle_users(self) -> dict[str, erasures.State]:
        """Create and lock the users, then erase and describe them; erasures first (rule 13)."""
        named = {"user_ids": self._user_ids}
        self._connection.execute(sql.INSERT_MISSING_USERS, named)
        rows = self._connection.execute(sql.LOCK_USERS, named).fetchall()
        if len(rows) != len(self._user_ids):
            raise RuntimeError(
                f"locked {len(rows)} of {len(self._user_ids)} users; the transaction rolls back"
            )
        erasures.apply(
            self._connection, self._decoded.erasures, self._store._history_limit, self._store._reopen_skew_us
        )
        profiles.merge(self._connection, self._decoded.profiles)
        if self._decoded.erasures or self._decoded.profiles:
            rows = self._connection.execute(sql.LOCK_USERS, named).fetchall()
        return erasures.states(rows, self._store._reopen_skew_us)

    def _settle_items(self, epoch: int) -> tuple[int, items.ItemWrites, list[Item]]:
        """The revision, what became of the batch's items, and all items that the catalogue lacks."""
        decoded, known = self._decoded, self._store.catalogue.by_id
        named = {event.item_id for event in decoded.interactions if event.item_id not in known}
        named |= {d.item_id for d in decoded.descriptions} | {r.item_id for r in decoded.removals}
        if named:
            self._connection.execute(sql.LOCK_ITEM_WRITERS)
        revision = self._draw_revision(epoch)
        writes = items.ItemWrites()
        if named:
            writes = items.write(
                self._connection, sorted(named), decoded.descriptions, decoded.removals, revision,
                self._store._features,
            )  # fmt: skip
        return revision, writes, items.read_changed(self._connection, self._store.catalogue.cursor)

    def _draw_revision(self, epoch: int) -> int:
        row = self._connection.execute(sql.DRAW_REVISION).fetchone()
        assert row is not None
        return int(epoch << 40 | row[0])

    def _merge(self, admitted: Sequence[Interaction], revision: int, changed: Sequence[Item]) -> list[Any]:
        if not self._user_ids:
            return []
        store = self._store
        number_of = {item.item_id: item.number for item in changed}
        known = store.catalogue.by_id
        type_numbers = store._event_types.numbers
        parameters = {
            "user_ids": self._user_ids,
            "event_user_ids": [event.user_id for event in admitted],
            "event_ids": [event.event_id for event in admitted],
            "at_us": [event.occurred_at_us for event in admitted],
            "items": [number_of.get(e.item_id) or known[e.item_id].number for e in admitted],
            "types": [type_numbers[event.type] for event in admitted],
            "values": [event.value for event in admitted],
            "contexts": [event.context for event in admitted],
            "popular_types": store._event_types.popular_numbers,
            "popularity_landmark_seconds": POPULARITY_LANDMARK_SECONDS,
            "popularity_half_life_seconds": store._half_life_seconds,
            "history_limit": store._history_limit,
            "revision": revision,
        }
        return self._connection.cursor(binary=True).execute(sql.MERGE_HISTORIES, parameters).fetchall()

    def _histories(self, rows: Sequence[Any]) -> Histories:
        sent = [row[3] for row in rows]
        types: NDArray[np.int64] = columns.concatenated([row[4] for row in rows], 2)
        highest = int(types.max()) if len(types) else 0
        return Histories(
            user_ids=[row[0] for row in rows],
            profiles=[row[1] or {} for row in rows],
            offsets=columns.offsets(columns.lengths(sent, 4)),
            items=columns.concatenated(sent, 4).astype(np.int32),
            types=types.astype(np.int16),
            times_us=columns.times_us([row[5] for row in rows]),
            type_names=self._store._event_types.names(self._connection, highest),
            history_lengths=[row[2] for row in rows],
        )

    def _item_points(self, writes: items.ItemWrites, changed: Sequence[Item]) -> dict[str, list[Item]]:
        now = self._store.catalogue.by_id | {item.item_id: item for item in changed}
        whole = [now[name] for name in {*writes.embed, *self._pending.of_kind("item")} if name in now]
        return {
            "items": [item for item in whole if not item.removed],
            "removed_items": [item for item in whole if item.removed],
            "payload_items": [now[item_id] for item_id in writes.payload_only],
        }


def _users_of(decoded: Decoded) -> set[str]:
    named: set[str] = {event.user_id for event in decoded.interactions}
    named.update(profile.user_id for profile in decoded.profiles)
    named.update(erasure.user_id for erasure in decoded.erasures)
    return named


def _admitted(
    interactions: Iterable[Interaction], erased: dict[str, erasures.State]
) -> tuple[list[Interaction], int]:
    """The first of each key (rule 2), less what an erasure keeps out; and how many those were."""
    first: dict[tuple[str, str, int], Interaction] = {}
    dropped = 0
    for event in interactions:
        state = erased.get(event.user_id)
        if state is not None and not state.admits(event.occurred_at_us):
            dropped += 1
            continue
        first.setdefault((event.user_id, event.event_id, event.occurred_at_us), event)
    return list(first.values()), dropped
