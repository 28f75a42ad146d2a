"""Partitions that cannot be read on at the moment: left alone for a while, so that the others go on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import structlog

from kindred.events.rebalances import Partition
from kindred.events.unpacking import Unreadable

RETRY_SECONDS = 30.0  # another replica may lead by then

log = structlog.get_logger()


class SetAside:
    """Used by the polling thread. `reasons` stay until the partition is read beyond what was unreadable."""

    def __init__(self) -> None:
        self.reasons: Mapping[Partition, str] = {}  # replaced as a whole: other threads read it
        self._until_seconds: dict[Partition, float] = {}
        self._offsets: dict[Partition, int] = {}  # from which on it was unreadable

    @property
    def partitions(self) -> frozenset[Partition]:
        """Those that are left alone now."""
        return frozenset(self._until_seconds)

    def add(self, error: Unreadable) -> None:
        partition, reason = error.partition, str(error)
        if self.reasons.get(partition) != reason:
            log.error("records_unreadable", topic=partition[0], partition=partition[1], reason=reason)
        self.reasons = {**self.reasons, partition: reason}
        self._until_seconds[partition] = time.monotonic() + RETRY_SECONDS
        self._offsets[partition] = error.offset

    def due(self) -> list[Partition]:
        """Those to try again from now on."""
        now = time.monotonic()
        found = [each for each, until in self._until_seconds.items() if until <= now]
        for partition in found:
            del self._until_seconds[partition]
        return found

    def note_positions(self, positions: Mapping[Partition, int]) -> list[Partition]:
        """Forget, and return, what is to be read on behind the offset that could not be unpacked.

        It was read, or retention has deleted it, or the end of a transaction followed.
        """
        passed = [each for each, offset in self._offsets.items() if positions.get(each, offset) > offset]
        self.forget(passed)
        return passed

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These are read, or somebody else's, or begun anew."""
        gone = set(partitions)
        self.reasons = {each: reason for each, reason in self.reasons.items() if each not in gone}
        for partition in gone:
            self._until_seconds.pop(partition, None)
            self._offsets.pop(partition, None)
