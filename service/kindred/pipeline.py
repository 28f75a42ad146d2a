"""Three steps on three threads, fed from a mailbox that the polling thread never waits on (rule 11).

Batches pass through in order. While one is in the tower, the next is in Postgres; whatever arrives
meanwhile gathers in the mailbox and becomes the batch after that: small when idle, large under load.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from kindred.errors import Outage
from kindred.health import Health
from kindred.history.store import Affected
from kindred.mailbox import Batch
from kindred.metrics import STAGE_SECONDS
from kindred.sync import Embedded

# Between two steps. With two, more waits and batches are smaller: p50 of 63 ms at 1,000 events/s, not 51.
QUEUED_BATCHES = 1
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
LONGEST_ASKED_WAIT_SECONDS = 60.0

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch, perhaps narrowed, and the transactions that brought it into Postgres."""

    batch: Batch
    affected: list[Affected]


@dataclass(frozen=True, slots=True)
class Done:
    """A batch whose vectors are searchable."""

    applied: Applied
    at_seconds: float


class Steps(Protocol):
    """What the three threads call."""

    def next_batch(self, timeout_seconds: float) -> Batch | None: ...
    def apply(self, batch: Batch) -> Applied: ...
    def embed(self, applied: Applied) -> list[Embedded]: ...
    def upsert(self, embedded: Embedded) -> None: ...
    def count(self, done: Done) -> None: ...


class Stopped(Exception):
    """The worker is stopping and gives up waiting for a server; the batch is not committed."""


class Pipeline:
    """Owns the three threads. `done` hands finished batches back, in order."""

    def __init__(self, steps: Steps, health: Health) -> None:
        self.done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.failure: BaseException | None = None
        self._steps = steps
        self._health = health
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._applied: queue.Queue[Applied | None] = queue.Queue(QUEUED_BATCHES)
        self._embedded: queue.Queue[tuple[Applied, list[Embedded]] | None] = queue.Queue(QUEUED_BATCHES)
        self._threads = [
            self._thread(self._apply, self._applied),
            self._thread(self._embed, self._embedded),
            self._thread(self._upsert, None),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, patience_seconds: float) -> None:
        """Take no new batch, finish those under way, within `patience_seconds`."""
        self._stopping.set()
        deadline = time.monotonic() + patience_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._giving_up.set()

    def _thread(self, step: Callable[[], None], following: queue.Queue[Any] | None) -> threading.Thread:
        return threading.Thread(target=self._run, args=(step, following), name=step.__name__, daemon=True)

    def _run(self, step: Callable[[], None], following: queue.Queue[Any] | None) -> None:
        try:
            step()
        except Stopped:
            if step != self._apply:  # whoever hands something to this step would wait in vain
                self._giving_up.set()
        except BaseException as failure:
            self.failure = self.failure or failure
            self._stopping.set()
            self._giving_up.set()
        if following is not None:
            self._end(following)

    def _end(self, following: queue.Queue[Any]) -> None:
        """Let the next step come to its end: what waits there goes through first, unless we give up."""
        while True:
            try:
                return following.put(None, timeout=0.2)
            except queue.Full:
                if self._giving_up.is_set():
                    with suppress(queue.Empty):
                        following.get_nowait()

    def _apply(self) -> None:
        while not self._stopping.is_set():
            batch = self._steps.next_batch(0.2)
            if batch is not None:
                self._offer(self._applied, self._patiently("postgres", partial(self._steps.apply, batch)))

    def _embed(self) -> None:
        while (applied := self._applied.get()) is not None:
            embedded = self._patiently("embed", partial(self._steps.embed, applied))
            self._offer(self._embedded, (applied, embedded))

    def _upsert(self) -> None:
        while (item := self._embedded.get()) is not None:
            applied, embedded = item
            for each in embedded:
                self._patiently("qdrant", partial(self._steps.upsert, each))
            done = Done(applied, time.time())
            self._steps.count(done)
            self.done.put(done)

    def _patiently(self, stage: str, call: Callable[[], T]) -> T:
        """Call until it succeeds, however long a server is away; while stopping, only once."""
        away: set[str] = set()
        for wait_seconds in _waits():
            if self._giving_up.is_set():
                raise Stopped
            try:
                with _timed(stage), self._health.under_way(stage):
                    result = call()
            except Outage as outage:
                self._note(outage, stage, away)
                asked_seconds = min(outage.retry_after_seconds, LONGEST_ASKED_WAIT_SECONDS)
                if self._stopping.wait(max(wait_seconds, asked_seconds)):
                    raise Stopped from outage
            else:
                self._note_answered(away)
                return result
        raise AssertionError("there is always one more wait")

    def _note(self, outage: Outage, stage: str, away: set[str]) -> None:
        if outage.server not in away:
            log.warning("server_away", server=outage.server, stage=stage, reason=outage.reason)
        away.add(outage.server)
        self._health.outage(outage.server, outage.reason)

    def _note_answered(self, away: set[str]) -> None:
        for server in away:
            log.info("server_answers", server=server)
            self._health.answered(server)

    def _offer(self, where: queue.Queue[T], item: T) -> None:
        """Put, unless the worker gives up first."""
        while not self._giving_up.is_set():
            try:
                where.put(item, timeout=0.2)
                return
            except queue.Full:
                continue


def _waits() -> Iterator[float]:
    """Seconds between attempts, for ever: exponential, and jittered, or all workers came at once."""
    longest = FIRST_WAIT_SECONDS
    while True:
        yield longest * random.uniform(0.5, 1.0)
        longest = min(2 * longest, LONGEST_WAIT_SECONDS)


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(stage).inc(time.perf_counter() - began)
