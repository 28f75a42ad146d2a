"""What one batch's transaction left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kindred.history import clocks
from kindred.history.pending import Pending
from kindred.history.window import Histories, Item


@dataclass(frozen=True, slots=True)
class Affected:
    """What Qdrant must now hear of, and the counts for the metrics."""

    revision: int
    models: Sequence[str]  # to write, as read under the batch lock (rule 5)
    began_at_seconds: float  # of clocks.running_seconds
    histories: Histories
    erased: Sequence[str]  # users: tombstones (rule 14)
    changed_items: Sequence[Item]  # all that changed since the last batch, whoever changed them
    erased_at_us: Sequence[int] = ()  # of each of `erased`
    items: Sequence[Item] = ()  # embed and write
    payload_items: Sequence[Item] = ()  # write the payload, embed nothing
    removed_items: Sequence[Item] = ()  # tombstones
    fresh: int = 0
    duplicates: int = 0
    dropped: int = 0  # interactions of erased users
    dead_letters: Mapping[str, int] = field(default_factory=dict)  # by reason
    event_types: Mapping[str, int] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)  # to finish once all of this is written
    at_us: int = 0  # the transaction's time by the database's clock

    @property
    def age_seconds(self) -> float:
        """Since its transaction began, a suspended machine's time included (rule 7)."""
        return clocks.running_seconds() - self.began_at_seconds


class LettersTaken(Exception):
    """Some of the letters to replay are gone: replayed or purged by somebody else. Read them again."""


ANY_FLOOR_US = 2**62  # of a batch without interactions: nothing in it can be too old


class RetentionFloorRaised(Exception):
    """Partitions were dropped since the batch was decoded: decode again with this floor."""

    def __init__(self, floor_us: int) -> None:
        super().__init__(floor_us)
        self.floor_us = floor_us
