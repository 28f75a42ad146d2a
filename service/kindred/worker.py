"""The long-running loop: poll, hand over, commit what is searchable, and stop in good order."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import structlog

from kindred import metrics
from kindred.errors import KindredError, Outage
from kindred.events.source import COMMIT_TIMEOUT_MS, Partition, Source
from kindred.health import Health
from kindred.lag import Lag
from kindred.mailbox import Mailbox
from kindred.pipeline import Done, Pipeline, Steps
from kindred.tripped import Tripped

log = structlog.get_logger()

# SIGTERM to the end in 10 s: the batches under way, the last commit, leaving the group.
STOP_PATIENCE_SECONDS = 5.0
LAST_COMMIT_TIMEOUT_MS = 1_500


@dataclass(slots=True)
class _Uncommitted:
    """What is searchable but not committed yet, with the epochs it was polled in."""

    offsets: dict[Partition, int] = field(default_factory=dict)
    epochs: dict[Partition, int] = field(default_factory=dict)


class Worker:
    """One member of the group. `run` returns when it was asked to stop, or raises why it must."""

    def __init__(
        self, source: Source, mailbox: Mailbox, tripped: Tripped, steps: Steps, health: Health
    ) -> None:
        self._source = source
        self._mailbox = mailbox
        self._tripped = tripped
        self._health = health
        self._pipeline = Pipeline(steps, health)
        self._lag = Lag(source)
        self._uncommitted = _Uncommitted()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. Raises the KindredError that a person must act on."""
        self._pipeline.start()
        try:
            while not stop.is_set() and self._pipeline.failure is None:
                self._turn(stop)
        finally:
            self._health.degraded("stopping", "the worker was asked to stop")
            self._pipeline.stop(STOP_PATIENCE_SECONDS)
            self._finish()
            self._source.close()
        if self._pipeline.failure is not None:
            raise self._pipeline.failure

    def _turn(self, stop: threading.Event) -> None:
        self._apply_back_pressure()
        try:
            self._mailbox.put(self._source.poll())
            self._commit()
            self._measure()
        except Outage as outage:
            log.warning("server_away", server=outage.server, stage="poll", reason=outage.reason)
            self._health.outage(outage.server, outage.reason)
            stop.wait(1.0)
        self._health.polled()
        self._tripped.carry_out()

    def _apply_back_pressure(self) -> None:
        if self._mailbox.is_full:
            self._source.pause()
        elif self._mailbox.is_low:
            self._source.resume()

    def _commit(self, timeout_ms: int = COMMIT_TIMEOUT_MS) -> None:
        """Commit what the pipeline has finished; what a rebalance took away is somebody else's now."""
        while not self._pipeline.done.empty():
            self._note_done(self._pipeline.done.get())
        if not self._uncommitted.offsets:
            return
        began = time.perf_counter()
        self._source.commit(self._uncommitted.offsets, self._uncommitted.epochs, timeout_ms)
        metrics.STAGE_SECONDS.labels("commit").inc(time.perf_counter() - began)
        self._uncommitted = _Uncommitted()

    def _note_done(self, done: Done) -> None:
        batch = done.applied.batch
        if self._source.owns(batch.epochs):
            next_offsets = batch.next_offsets
            self._uncommitted.offsets |= next_offsets
            self._uncommitted.epochs |= batch.epochs
            self._lag.note(next_offsets)

    def _finish(self) -> None:
        try:
            self._commit(LAST_COMMIT_TIMEOUT_MS)
        except KindredError as error:
            log.warning("commit_failed", reason=str(error), consequence="these records are delivered again")

    def _measure(self) -> None:
        joined = self._source.is_joined
        self._health.degraded("starting", None if joined else "the worker has not joined its group")
        if self._lag.measure():
            # A poll that brings nothing says nothing: the client is as silent while the brokers are away.
            self._health.answered("kafka")
            self._health.degraded("standing still", self._lag.standstill)
