"""Events into Kafka, at full speed or at a steady rate, watched until they are searchable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from kindred.errors import Misconfigured
from kindred.events.producer import Producer
from kindred.events.schema import Record
from kindred.local.demo.live import INTERVAL_SECONDS, LiveLine
from kindred.local.demo.worker_process import Sample, WorkerProcess, freshness_ms

STALLED_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Streamed:
    """What became of one stream: from the first record sent to the last one searchable."""

    records: int
    seconds: float
    before: Sample
    after: Sample

    @property
    def per_second(self) -> float:
        return self.records / self.seconds if self.seconds else 0.0

    def freshness_ms(self, share: float) -> float | None:
        """Quantile of record timestamp -> vector searchable."""
        return freshness_ms(self.before, self.after, share)


class Streamer:
    """Sends through one producer to one worker."""

    def __init__(self, producer: Producer, worker: WorkerProcess, console: Console) -> None:
        self._producer, self._worker, self._console = producer, worker, console

    def stream(self, what: str, records: Sequence[Record], rate: float = 0.0) -> Streamed:
        """Send all, no faster than `rate` a second (0: unhindered), and wait until all are searchable.

        Raises Misconfigured where the worker stops getting on, Outage where Kafka takes no records.
        """
        before = self._worker.sample()
        with LiveLine(self._console, what, len(records)) as line:
            began = time.monotonic()
            self._send(records, rate, line, before)
            after = self._wait(len(records), line, before)
        return Streamed(len(records), after.at_seconds - began, before, after)

    def _send(self, records: Sequence[Record], rate: float, line: LiveLine, before: Sample) -> None:
        began = shown_at = time.monotonic()
        for sent, record in enumerate(records):
            now = time.monotonic()
            if rate and (early := began + sent / rate - now) > 0:
                time.sleep(early)
            if now - shown_at > INTERVAL_SECONDS:
                shown_at = now
                self._show(line, before, sent)
            self._producer.send(record)
        self._producer.flush()

    def _wait(self, total: int, line: LiveLine, before: Sample) -> Sample:
        got_on_at, done = time.monotonic(), -1
        while True:
            sample = self._show(line, before, total)
            if sample.records - before.records >= total:
                return sample
            if sample.records - before.records > done:
                got_on_at, done = time.monotonic(), sample.records - before.records
            elif time.monotonic() - got_on_at > STALLED_SECONDS:
                raise Misconfigured(f"The worker stopped at {done:,} of {total:,} events.")
            time.sleep(_POLL_SECONDS)

    def _show(self, line: LiveLine, before: Sample, sent: int) -> Sample:
        sample = self._worker.sample()
        line.show(sample, sample.records - before.records, sent)
        return sample
