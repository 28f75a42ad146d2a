"""How far a worker is behind, and how its place in the group fares, as metrics every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from kindred import metrics
from kindred.events.source import Partition, Source, spelled

INTERVAL_SECONDS = 2.0
STANDSTILL_SECONDS = 60.0  # a broker may answer, and have nothing to say


class Lag:
    """Used by the polling thread."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._synced: dict[Partition, int] = {}
        self._synced_since = 0  # the assignment that `_synced` belongs to
        self._read_at = 0.0
        self._waiting: dict[Partition, tuple[int, float]] = {}  # synced up to where, and since when

    def note(self, next_offsets: Mapping[Partition, int]) -> None:
        """These are searchable now."""
        self._synced |= next_offsets

    def measure(self) -> bool:
        """Ask the brokers and set the metrics; False where it is not time yet. Raises Outage."""
        if monotonic() - self._read_at < INTERVAL_SECONDS:
            return False
        self._read_at = monotonic()
        metrics.REBALANCES.set(self._source.rebalances)
        metrics.REJOINS.set(self._source.rejoins)
        metrics.OFFSET_GAPS.set(self._source.gaps.count)
        metrics.PAUSED_PARTITIONS.set(len(self._source.stopped | self._source.unreadable.keys()))
        lags = self._lags()
        self._watch(lags)
        metrics.LAG.clear()
        for partition, lag in lags.items():
            metrics.LAG.labels(partition[0], str(partition[1])).set(lag)
        return True

    @property
    def standstill(self) -> str | None:
        """What has waited for long, without anything of its partition being synced; None if all goes on."""
        latest = monotonic() - STANDSTILL_SECONDS
        stand = [spelled(each) for each, (_, since) in sorted(self._waiting.items()) if since < latest]
        if not stand:
            return None
        return f"for {STANDSTILL_SECONDS:.0f} s or more nothing was synced of {', '.join(stand)}"

    def _watch(self, lags: Mapping[Partition, int]) -> None:
        """Since when each partition has stood still; of those that are paused somebody has said so."""
        now, before = monotonic(), self._waiting
        self._waiting = {}
        if self._source.is_behind:  # a backlog is worked off, one partition's fetch after another's
            return
        paused = self._source.stopped | self._source.unreadable.keys()
        for partition, lag in lags.items():
            if lag and partition not in paused:
                synced = self._synced[partition]
                was, since = before.get(partition, (-1, now))
                self._waiting[partition] = (synced, since if was == synced else now)

    def _lags(self) -> dict[Partition, int]:
        if self._synced_since != self._source.rebalances:  # others may have synced more meanwhile
            self._synced_since, self._synced = self._source.rebalances, {}
        ends = self._source.end_offsets()
        self._synced |= self._source.start_offsets(ends.keys() - self._synced.keys())
        reached = self._synced | self._source.caught_up(self._synced)
        return {partition: max(0, end - reached[partition]) for partition, end in ends.items()}
