"""The steps of one batch's transaction, in the order that the locks demand (locks.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kindred.events.schema import Decoded, Interaction
from kindred.history import columns, dead_letters, erasures, items, letters, offsets, profiles
from kindred.history import pending as pending_rows
from kindred.history import statements as sql
from kindred.history.affected import Affected, RetentionFloorRaised
from kindred.history.connection import Connection
from kindred.history.event_types import EventTypes
from kindred.history.merge import Merged, merge
from kindred.history.origin import Origin
from kindred.history.pending import Pending
from kindred.history.window import Item


@dataclass(frozen=True, slots=True)
class Rules:
    """What a deployment decides about its histories. `reopen_skew_us`: see erasures.State."""

    history_limit: int
    half_life_days: float
    reopen_skew_us: int | None
    item_features: frozenset[str]


class Transaction:
    """One batch on one connection. Changes neither the catalogue nor anything else outside Postgres."""

    def __init__(
        self, connection: Connection, rules: Rules, event_types: EventTypes, catalogue: items.Catalogue,
        decoded: Decoded, pending: Pending, origin: Origin,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._rules = rules
        self._event_types = event_types
        self._catalogue = catalogue
        self._decoded = decoded
        self._pending = pending
        self._origin = origin
        self._user_ids = sorted(_users_of(decoded) | set(pending.of_kind("user")))
        self._user_column = columns.texts(self._user_ids)

    def run(self, floor_us: int | None, began_at_seconds: float) -> Affected:
        """All of it. Raises RetentionFloorRaised or LettersTaken before anything is written."""
        epoch, models, now = self._enter(floor_us)
        letters.take(self._connection, self._origin.replayed)
        dead_letters.insert(self._connection, self._decoded.dead_letters)
        once_erased = self._settle_users()
        admitted, dropped = _admitted(self._decoded.interactions, once_erased)
        revision, writes = self._settle_items(epoch)
        changed = items.read_changed(
            self._connection, self._catalogue.cursor, now, self._rules.half_life_days
        )
        known = _Known(self._catalogue, changed)
        merged = self._merge(admitted, revision, known)
        # Whose interaction was admitted has come back with it, where interactions re-open an id.
        erased = {user_id for user_id, state in once_erased.items() if state.is_erased}
        erased -= {event.user_id for event in admitted}
        requested = self._request(writes)
        offsets.note(self._connection, self._origin.offsets, self._origin.begins)
        return Affected(
            revision=revision,
            models=tuple(models),
            began_at_seconds=began_at_seconds,
            histories=merged.histories(self._connection, self._event_types, without=erased),
            erased=sorted(erased),
            erased_at_us=[once_erased[user_id].erased_at_us for user_id in sorted(erased)],
            changed_items=changed,
            fresh=merged.fresh,
            duplicates=len(self._decoded.interactions) - dropped - merged.fresh,
            dropped=dropped,
            dead_letters=Counter(letter.reason.value for letter in self._decoded.dead_letters),
            event_types=Counter(event.type for event in self._decoded.interactions),
            pending=self._pending + requested,
            at_us=int(now.timestamp() * 1e6),
            **self._item_points(writes, known),
        )

    def _enter(self, floor_us: int | None) -> tuple[int, list[str], datetime]:
        self._connection.execute(sql.LOCK_BATCH)
        row = self._connection.execute(sql.READ_INSTALLATION).fetchone()
        assert row is not None  # the migration inserts it
        epoch, floor_now_us, models, now = row
        if floor_now_us is not None and (floor_us is None or floor_us < floor_now_us):
            raise RetentionFloorRaised(floor_now_us)
        return epoch, models, now

    def _settle_users(self) -> dict[str, erasures.State]:
        """Create and lock the users, then erase and describe them; erasures first (rule 13)."""
        if not self._user_ids:
            return {}
        self._connection.execute(sql.INSERT_MISSING_USERS, {"user_ids": self._user_column})
        rows = self._lock_users()
        decoded, rules = self._decoded, self._rules
        erasures.apply(
            self._connection, decoded.erasures, decoded.profiles, rules.reopen_skew_us, self._origin.reason
        )
        profiles.merge(self._connection, decoded.profiles)
        if decoded.erasures or decoded.profiles:
            rows = self._lock_users()
        return erasures.states(rows, rules.reopen_skew_us)

    def _lock_users(self) -> list[Any]:
        rows = self._connection.execute(sql.LOCK_USERS, {"user_ids": self._user_column}).fetchall()
        if len(rows) != len(self._user_ids):
            raise RuntimeError(
                f"locked {len(rows)} of {len(self._user_ids)} users; the transaction rolls back"
            )
        return rows

    def _settle_items(self, epoch: int) -> tuple[int, items.ItemWrites]:
        """The revision, and what became of the batch's items. It is drawn last of all locks (rule 4)."""
        decoded, known = self._decoded, self._catalogue.by_id
        named = {event.item_id for event in decoded.interactions if event.item_id not in known}
        named |= {d.item_id for d in decoded.descriptions} | {r.item_id for r in decoded.removals}
        # Pending ones too: else what another writer is about to commit is not read, and fenced out later.
        if named or self._pending.of_kind("item"):
            self._connection.execute(sql.LOCK_ITEM_WRITERS)
        revision = self._draw_revision(epoch)
        if not named:
            return revision, items.ItemWrites()
        return revision, items.write(
            self._connection, sorted(named), decoded.descriptions, decoded.removals, revision,
            self._rules.item_features,
        )  # fmt: skip

    def _draw_revision(self, epoch: int) -> int:
        row = self._connection.execute(sql.DRAW_REVISION).fetchone()
        assert row is not None
        return int(epoch << 40 | row[0])

    def _merge(self, admitted: Sequence[Interaction], revision: int, known: _Known) -> Merged:
        if not self._user_ids:
            return Merged((), 0)
        return merge(
            self._connection, self._user_column, admitted, known.number_of, self._event_types, revision,
            history_limit=self._rules.history_limit, half_life_days=self._rules.half_life_days,
        )  # fmt: skip

    def _request(self, writes: items.ItemWrites) -> Pending:
        if not self._origin.by_command:
            return pending_rows.request(self._connection, "item", writes.seen_first)
        users = pending_rows.request(self._connection, "user", self._user_ids)
        return users + pending_rows.request(self._connection, "item", writes.embed | writes.payload_only)

    def _item_points(self, writes: items.ItemWrites, known: _Known) -> dict[str, list[Item]]:
        named = dict.fromkeys([*writes.embed, *self._pending.of_kind("item")])
        whole = [item for item_id in named if (item := known.find(item_id)) is not None]
        return {
            "items": [item for item in whole if not item.removed],
            "removed_items": [item for item in whole if item.removed],
            "payload_items": [known[item_id] for item_id in writes.payload_only],
        }


class _Known:
    """The catalogue as this transaction sees it: what it read itself, before what earlier ones read."""

    def __init__(self, catalogue: items.Catalogue, changed: Iterable[Item]) -> None:
        self._before = catalogue.by_id
        self._changed = {item.item_id: item for item in changed}

    def find(self, item_id: str) -> Item | None:
        return self._changed.get(item_id) or self._before.get(item_id)

    def __getitem__(self, item_id: str) -> Item:
        return self._changed.get(item_id) or self._before[item_id]

    def number_of(self, item_id: str) -> int:
        return self[item_id].number


def _users_of(decoded: Decoded) -> set[str]:
    named: set[str] = {event.user_id for event in decoded.interactions}
    named.update(profile.user_id for profile in decoded.profiles)
    named.update(erasure.user_id for erasure in decoded.erasures)
    return named


def _admitted(
    interactions: Iterable[Interaction], once_erased: dict[str, erasures.State]
) -> tuple[list[Interaction], int]:
    """The first of each key (rule 2), less what an erasure keeps out; and how many those were."""
    first: dict[tuple[str, str, int], Interaction] = {}
    dropped = 0
    for event in interactions:
        state = once_erased.get(event.user_id)
        if state is not None and not state.admits(event.occurred_at_us, event.recorded_at_us):
            dropped += 1
            continue
        first.setdefault((event.user_id, event.event_id, event.occurred_at_us), event)
    return list(first.values()), dropped
