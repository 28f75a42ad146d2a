"""The only writer of histories: one batch, one transaction."""

from __future__ import annotations

from kindred.declaration import Declaration
from kindred.events.schema import Decoded
from kindred.history import clocks, items
from kindred.history import pending as pending_rows
from kindred.history import statements as sql
from kindred.history.affected import ANY_FLOOR_US, Affected, LettersTaken, RetentionFloorRaised
from kindred.history.connection import Database
from kindred.history.event_types import EventTypes
from kindred.history.origin import Origin
from kindred.history.pending import Pending
from kindred.history.transaction import Rules, Transaction
from kindred.history.window import Item

__all__ = [
    "ANY_FLOOR_US",
    "Affected",
    "HistoryStore",
    "LettersTaken",
    "Origin",
    "Pending",
    "RetentionFloorRaised",
]

RECORDS = Origin()


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
        self._rules = Rules(
            history_limit=history_limit,
            half_life_days=popularity_half_life_days,
            reopen_skew_us=reopen_skew_us,
            item_features=frozenset(declaration.item),
        )
        self._event_types = EventTypes(database, declaration)
        self.catalogue = items.Catalogue()

    def load_catalogue(self) -> list[Item]:
        """Read every item once, at start; `apply` reports what changes afterwards."""
        now = clocks.now(self._database)
        with self._database.transaction() as connection:
            known = items.read_changed(connection, -1, now, self._rules.half_life_days)
        self.catalogue = items.Catalogue()
        self.catalogue.advance(known)
        return known

    def apply(
        self,
        decoded: Decoded,
        *,
        floor_us: int | None = None,
        pending: Pending | None = None,
        origin: Origin = RECORDS,
    ) -> Affected:
        """Bring a batch into Postgres, once, however often it is delivered.

        `floor_us` is the retention floor the batch was decoded with. Raises RetentionFloorRaised,
        LettersTaken, RefusedByPostgres (bisect the batch), Outage (try again) or Misconfigured (stop).
        """
        began_at_seconds = clocks.running_seconds()
        with self._database.transaction() as connection:
            transaction = Transaction(
                connection, self._rules, self._event_types, self.catalogue, decoded, pending or Pending(),
                origin,
            )  # fmt: skip
            affected = transaction.run(floor_us, began_at_seconds)
        self.catalogue.advance(affected.changed_items)
        return affected

    def models(self) -> list[str]:
        """Models that must be written now."""
        with self._database.transaction() as connection:
            row = connection.execute(sql.READ_INSTALLATION).fetchone()
        return list(row[2]) if row else []

    def floor_us(self) -> int | None:
        """The log's retention floor: what is older is too old."""
        with self._database.transaction() as connection:
            row = connection.execute(sql.READ_INSTALLATION).fetchone()
        return row[1] if row else None

    def take_pending(self, limit: int) -> Pending:
        """The oldest rows of pending_sync, which no other worker takes for a minute."""
        with self._database.transaction() as connection:
            return pending_rows.take(connection, limit)

    def finish_pending(self, done: Pending) -> None:
        """Every model holds what these rows asked for."""
        with self._database.transaction() as connection:
            pending_rows.finish(connection, done)

    def request_again(self, affected: Affected) -> None:
        """Ask that all users and items of a batch be written once more, from a new transaction."""
        named = [*affected.items, *affected.payload_items, *affected.removed_items]
        with self._database.transaction() as connection:
            pending_rows.request(connection, "user", [*affected.histories.user_ids, *affected.erased])
            pending_rows.request(connection, "item", [item.item_id for item in named])
