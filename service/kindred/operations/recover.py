"""`kindred recover`: Postgres has lost history that Qdrant still shows (rule 27).

In an order in which each step can be repeated until the last one, which makes the loss invisible, is done:

1. the offsets of the group, in which nobody is, go back to where this database has read to, so that what
   it lost comes again;
2. erasures that it lost, of which Qdrant still holds the tombstones, are made again: a command leaves no
   record that could come again;
3. the epoch rises above every revision in Qdrant, and everybody is put into pending_sync.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kindred.errors import CollectionGone, Misconfigured
from kindred.events.group import Group, read_group, set_offsets
from kindred.events.rebalances import Partition
from kindred.events.schema import Decoded, Erasure
from kindred.history import models as model_rows
from kindred.history import offsets, recovery
from kindred.history.connection import Database
from kindred.history.leader import Leadership
from kindred.history.store import HistoryStore, Origin
from kindred.settings import Settings
from kindred.vectors.index import Index
from kindred.vectors.points import Point

_ANY_FLOOR = _LATEST = 2**62  # erasures bring no interactions and name no items


@dataclass(frozen=True, slots=True)
class Plan:
    """What was lost, and what recovering does about it."""

    drawn: int  # the highest revision of Postgres
    highest: int  # of Qdrant
    epoch: int
    users: int
    items: int
    group: Group
    rewinds: Mapping[Partition, int]  # from what the group has committed

    @property
    def is_needed(self) -> bool:
        return self.highest > self.drawn


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done. `gaps`: the first offset left where retention has deleted what should come again."""

    epoch: int
    erased_again: int
    gaps: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovering takes. All methods raise Outage."""

    settings: Settings
    database: Database
    history: HistoryStore
    index: Index

    def plan(self) -> Plan:
        """Look, and change nothing."""
        highest = max((self._highest(model) for model in self.index.points.models()), default=0)
        epoch, users, items = recovery.read(self.database)
        group, read = read_group(self.settings), offsets.read(self.database)
        rewinds = {
            partition: read.get(partition, 0)
            for partition, committed in group.committed.items()
            if read.get(partition, 0) < committed
        }
        drawn = model_rows.last_revision(self.database)
        return Plan(drawn, highest, epoch, users, items, group, rewinds)

    def run(self, plan: Plan, *, offsets_set_by_hand: bool = False) -> Recovered:
        """Recover. Raises Misconfigured while a worker runs."""
        with Leadership(self.database) as leadership:
            if not leadership.held():
                raise Misconfigured("A worker is running: stop all workers and run this again.")
            moved = {} if offsets_set_by_hand else self._rewind(plan)
            erased_again = sum(self._erase_again(each) for each in self._lost_tombstones(plan.drawn))
            epoch = recovery.raise_epoch(self.database, plan.highest)
        gaps = {each: offset for each, offset in moved.items() if offset > plan.rewinds[each]}
        return Recovered(epoch, erased_again, gaps)

    def _rewind(self, plan: Plan) -> dict[Partition, int]:
        if plan.rewinds and not plan.group.is_empty:
            raise Misconfigured(
                f"The group {plan.group.name} has members ({plan.group.state}): stop all workers, wait for "
                "the session timeout, and run this again."
            )
        return set_offsets(self.settings, plan.rewinds) if plan.rewinds else {}

    def _highest(self, model: str) -> int:
        try:
            return self.index.highest_revision(model)
        except CollectionGone:  # half dropped
            return 0

    def _lost_tombstones(self, drawn: int) -> Iterator[list[Point]]:
        for model in self.index.points.models():
            yield from self.index.points.tombstones_above(model, drawn)

    def _erase_again(self, tombstones: Sequence[Point]) -> int:
        if not tombstones:
            return 0
        erasures = [Erasure(each.external_id, _erased_at_us(each)) for each in tombstones]
        self.history.catalogue.cursor = _LATEST
        self.history.apply(Decoded(erasures=erasures), floor_us=_ANY_FLOOR, origin=Origin(by_command=True))
        return len(erasures)


def _erased_at_us(tombstone: Point) -> int:
    """As it was; as of now for a tombstone that does not say, which is late but never too early."""
    if (erased_at := tombstone.payload.get("erased_at")) is None:
        return time.time_ns() // 1_000
    return round(datetime.fromisoformat(str(erased_at)).timestamp() * 1_000_000)
