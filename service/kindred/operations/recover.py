"""`kindred recover`: Postgres has lost history that Qdrant and the group's offsets still show (rule 27).

In an order in which each step can be repeated, and each loss that shows stays visible until it is mended:

1. erasures that it lost, of which Qdrant still holds the tombstones, are made again: a command leaves no
   record that could come again;
2. the epoch rises above every revision in Qdrant, and everybody is put into pending_sync;
3. the offsets of the group, in which nobody is, go back to where this database has read to, so that what
   it lost comes again; where retention has deleted some of that, the gap is taken as read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from kindred.errors import CollectionGone, Misconfigured
from kindred.events.group import Group, read_group, set_offsets
from kindred.events.rebalances import Partition
from kindred.events.schema import Decoded, Erasure
from kindred.history import clocks, offsets, recovery
from kindred.history import models as model_rows
from kindred.history.connection import Database
from kindred.history.leader import Leadership
from kindred.history.store import ANY_FLOOR_US, HistoryStore, Origin
from kindred.settings import Settings
from kindred.vectors.index import Index
from kindred.vectors.points import Point

_LATEST = 2**62  # erasures name no items
# Postgres writes a sequence ahead by so many values (SEQ_LOG_VALS), so a replica that takes over, or a server
# that crashed, seems to have drawn revisions whose transactions it never had.
_DRAWN_AHEAD = 32


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
        """Whether a loss shows: in Qdrant, or, as small as it may be, in the group's offsets."""
        return self.highest > self.drawn or bool(self.rewinds)


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
        rewinds = {} if offsets_set_by_hand else plan.rewinds
        with self._alone(plan.group if rewinds else None):
            erased_again = sum(self._erase_again(each) for each in self._lost_tombstones(plan.drawn))
            epoch = recovery.raise_epoch(self.database, plan.highest)
            moved = set_offsets(self.settings, rewinds) if rewinds else {}
            gaps = {each: offset for each, offset in moved.items() if offset > rewinds[each]}
            offsets.accept(self.database, gaps)
        return Recovered(epoch, erased_again, gaps)

    def accept_offsets(self, plan: Plan) -> None:
        """Somebody moved the group's offsets forward on purpose: take as read what was skipped.

        Raises Misconfigured while a worker runs, or where Postgres has lost history for certain.
        """
        if plan.highest > plan.drawn:
            raise Misconfigured(
                f"Qdrant holds revision {plan.highest}, but Postgres has drawn only {plan.drawn}: it has "
                "lost history. Run `kindred recover` without --accept-offsets."
            )
        with self._alone(None):
            offsets.accept(self.database, {each: plan.group.committed[each] for each in plan.rewinds})

    @contextmanager
    def _alone(self, group: Group | None) -> Iterator[None]:
        """`group`: the one whose offsets must be altered, which Kafka refuses while it has members."""
        with Leadership(self.database) as leadership:
            if not leadership.held():
                raise Misconfigured("A worker is running: stop all workers and run this again.")
            if group is not None and not group.is_empty:
                raise Misconfigured(
                    f"The group {group.name} has members ({group.state}): stop all workers, wait for the "
                    "session timeout, and run this again."
                )
            yield

    def _highest(self, model: str) -> int:
        try:
            return self.index.highest_revision(model)
        except CollectionGone:  # half dropped
            return 0

    def _lost_tombstones(self, drawn: int) -> Iterator[list[Point]]:
        for model in self.index.points.models():
            yield from self.index.points.tombstones_above(model, drawn - _DRAWN_AHEAD)

    def _erase_again(self, tombstones: Sequence[Point]) -> int:
        if not tombstones:
            return 0
        now = clocks.now(self.database)
        erasures = [Erasure(each.external_id, _erased_at_us(each, now)) for each in tombstones]
        self.history.catalogue.cursor = _LATEST
        self.history.apply(Decoded(erasures=erasures), floor_us=ANY_FLOOR_US, origin=Origin(by_command=True))
        return len(erasures)


def _erased_at_us(tombstone: Point, now: datetime) -> int:
    """As it was; as of now for a tombstone that does not say, which is late but never too early."""
    erased_at = tombstone.payload.get("erased_at")
    moment = now if erased_at is None else datetime.fromisoformat(str(erased_at))
    return round(moment.timestamp() * 1_000_000)
