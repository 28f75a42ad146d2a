"""Partitions that the breaker has paused on this worker: found by one thread, carried out by another."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping

from kindred.events.source import Partition, Source, spelled
from kindred.health import Health
from kindred.mailbox import Mailbox


class Tripped:
    """A partition is paused for the epoch in which it tripped; whoever is assigned it next judges anew."""

    def __init__(self, source: Source, mailbox: Mailbox, health: Health) -> None:
        self._source = source
        self._mailbox = mailbox
        self._health = health
        self._to_stop: queue.SimpleQueue[Mapping[Partition, int]] = queue.SimpleQueue()
        self._to_start: queue.SimpleQueue[Iterable[Partition]] = queue.SimpleQueue()
        self._told: Mapping[Partition, str] = {}

    @property
    def partitions(self) -> frozenset[Partition]:
        """Those that are paused here now."""
        return self._source.stopped

    def stop(self, epochs: Mapping[Partition, int]) -> None:
        """Take nothing more of these in these epochs. Called by the pipeline."""
        self._mailbox.refuse(epochs)
        self._to_stop.put(epochs)

    def start(self, partitions: Iterable[Partition]) -> None:
        """Read these on. Called by the pipeline."""
        self._to_start.put(partitions)

    def carry_out(self) -> None:
        """Called by the polling thread, at each turn: what belongs to a rebalance is then over, too."""
        while not self._to_stop.empty():
            for partition, epoch in self._to_stop.get().items():
                self._source.stop_partition(partition, epoch)
        while not self._to_start.empty():
            # Asked for twice, the second epoch would drop what the first has brought.
            for partition in self._source.stopped.intersection(self._to_start.get()):
                self._source.start_partition(partition)
        stopped = dict.fromkeys(self._source.stopped, "paused: most records are poison")
        self._tell({**self._source.unreadable, **stopped})

    def _tell(self, reasons: Mapping[Partition, str]) -> None:
        for partition in self._told.keys() - reasons.keys():
            self._health.degraded(spelled(partition), None)
        for partition, reason in reasons.items():
            self._health.degraded(spelled(partition), reason)
        self._told = reasons
