"""How far a worker is behind, and how its place in the group fares, as metrics every few seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kindred import metrics
from kindred.events.source import Partition, Source

INTERVAL_SECONDS = 2.0


class Lag:
    """Used by the polling thread."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._synced: dict[Partition, int] = {}
        self._synced_since = 0  # the assignment that `_synced` belongs to
        self._read_at = 0.0

    def note(self, next_offsets: Mapping[Partition, int]) -> None:
        """These are searchable now."""
        self._synced |= next_offsets

    def measure(self) -> bool:
        """Ask the brokers and set the metrics; False where it is not time yet. Raises Outage."""
        if time.monotonic() - self._read_at < INTERVAL_SECONDS:
            return False
        self._read_at = time.monotonic()
        metrics.REBALANCES.set(self._source.rebalances)
        metrics.REJOINS.set(self._source.rejoins)
        metrics.OFFSET_GAPS.set(self._source.gaps)
        metrics.PAUSED_PARTITIONS.set(len(self._source.stopped))
        lags = self._lags()
        metrics.LAG.clear()
        for partition, lag in lags.items():
            metrics.LAG.labels(partition[0], str(partition[1])).set(lag)
        return True

    def _lags(self) -> dict[Partition, int]:
        if self._synced_since != self._source.rebalances:  # others may have synced more meanwhile
            self._synced_since, self._synced = self._source.rebalances, {}
        ends = self._source.end_offsets()
        self._synced |= self._source.start_offsets(ends.keys() - self._synced.keys())
        return {partition: max(0, end - self._synced[partition]) for partition, end in ends.items()}
