"""Does Postgres still hold what it once held? Asked at start and whenever it may be another one (rule 27).

Two witnesses: Qdrant, by the highest revision it has seen, and Kafka, by the offsets that the group has
committed. A loss of moments shows in the second alone, for Postgres writes its sequences ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kindred.errors import CollectionGone, LostHistory
from kindred.events.positions import Claim
from kindred.events.rebalances import Partition
from kindred.history import models as model_rows
from kindred.history import offsets
from kindred.history.connection import Database
from kindred.vectors.index import Index


class Lineage:
    """Each method is used by one of the pipeline's threads. All raise LostHistory or Outage."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index
        self._checked_connects = -1

    def check_after_reconnect(self) -> None:
        """Compare with Qdrant, unless no connection was made since the last time.

        Nothing of a transaction may reach Qdrant before this: a lower revision would silently do nothing.
        """
        connects = self._database.connects
        if connects != self._checked_connects:
            check_lineage(self._database, self._index)
            self._checked_connects = connects

    def check_claims(self, claims: Mapping[Partition, Claim]) -> dict[Partition, int]:
        """Compare with what the group has committed of newly assigned partitions.

        Returns up to where Postgres holds those whose log begins behind it, where the group has committed
        nothing that would tell: Kafka forgets the offsets of a group that was away for a week.
        """
        held = offsets.read(self._database)
        check_offsets(held, {each: claim.committed for each, claim in claims.items()})
        # The topic was deleted and made anew: what was noted tells of other records.
        anew = [
            each for each, claim in claims.items() if not claim.committed and held.get(each, 0) > claim.end
        ]
        if anew:
            offsets.set_back(self._database, dict.fromkeys(anew, 0))
        return {
            each: held[each]
            for each, claim in claims.items()
            if not claim.committed and each not in anew and 0 < held.get(each, 0) < claim.start
        }

    def accept(self, starts: Mapping[Partition, int]) -> None:
        """Take the records before these offsets as read: they are gone, and somebody has said to go on."""
        offsets.accept(self._database, starts)


def check_offsets(held: Mapping[Partition, int], committed: Mapping[Partition, int]) -> None:
    """Raises LostHistory where Postgres holds less than the group has committed."""
    for partition, claimed in sorted(committed.items()):
        if held.get(partition, 0) < claimed:
            raise offsets.lost(partition, held.get(partition, 0), claimed)


def check_lineage(database: Database, index: Index) -> None:
    """Raises LostHistory where Qdrant has seen revisions that Postgres has not drawn."""
    # Qdrant first: the other way round, what another worker draws and writes in between looks lost.
    highest = max((_highest(database, index, name) for name in _written(database)), default=0)
    drawn = model_rows.last_revision(database)
    if highest > drawn:
        raise LostHistory(
            f"Qdrant holds revision {highest}, but Postgres has only drawn {drawn}: it was restored from a "
            "backup, or failed over with loss. Stop all workers, then run `kindred recover`."
        )


def _highest(database: Database, index: Index, model: str) -> int:
    try:
        return index.highest_revision(model)
    except CollectionGone:
        if model in _written(database):  # else it was retired meanwhile (rule 25)
            raise
        return 0


def _written(database: Database) -> Iterable[str]:
    return [row.name for row in model_rows.read(database)]
