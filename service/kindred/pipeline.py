"""Three steps on three threads, fed from a mailbox that the polling thread never waits on (rule 11).

Batches pass through in order. While one is in the tower, the next is in Postgres; whatever arrives
meanwhile gathers in the mailbox and becomes the batch after that: small when idle, large under load.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import stamina

from kindred.errors import Outage
from kindred.events.schema import Record
from kindred.events.source import Partition, Polled
from kindred.health import Health
from kindred.history.store import Affected, Pending
from kindred.metrics import STAGE_SECONDS
from kindred.sync import Embedded

QUEUED_BATCHES = 2  # between two steps
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records with the epochs in which their partitions are owned, or pending rows without records."""

    records: Sequence[Record]
    epochs: Mapping[Partition, int]
    pending: Pending = field(default_factory=Pending)

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """What to commit once the batch is searchable."""
        offsets: dict[Partition, int] = {}
        for record in self.records:
            offsets[record.topic, record.partition] = record.offset + 1
        return offsets

    def first_offsets(self, partitions: frozenset[Partition]) -> dict[Partition, int]:
        """Where these partitions begin in this batch."""
        offsets: dict[Partition, int] = {}
        for record in self.records:
            if (record.topic, record.partition) in partitions:
                offsets.setdefault((record.topic, record.partition), record.offset)
        return offsets

    def without(self, partitions: frozenset[Partition]) -> Batch:
        """The same batch with nothing of these partitions."""
        return Batch(
            [each for each in self.records if (each.topic, each.partition) not in partitions],
            {each: epoch for each, epoch in self.epochs.items() if each not in partitions},
            self.pending,
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch, perhaps narrowed, and the transactions that brought it into Postgres."""

    batch: Batch
    affected: list[Affected]


class Mailbox:
    """Records between the polling thread and the first step. Thread-safe."""

    def __init__(self, batch_size: int, full_at: int) -> None:
        self._batch_size = batch_size
        self._full_at = full_at
        self._arrived = threading.Condition()
        self._records: list[Record] = []
        self._epochs: Mapping[Partition, int] = {}

    @property
    def is_full(self) -> bool:
        return len(self._records) >= self._full_at

    @property
    def is_low(self) -> bool:
        return len(self._records) < self._full_at // 2

    def put(self, polled: Polled) -> None:
        """Add what was polled; what was polled in another epoch of its partition is gone (rule 10)."""
        with self._arrived:
            if polled.epochs != self._epochs:
                self._records = [each for each in self._records if self._is_current(each, polled.epochs)]
                self._epochs = dict(polled.epochs)
            self._records.extend(polled.records)
            self._arrived.notify()

    def drop(self, partitions: frozenset[Partition]) -> None:
        """Forget what lies here of some partitions."""
        with self._arrived:
            self._records = [each for each in self._records if (each.topic, each.partition) not in partitions]

    def take(self, timeout_seconds: float) -> Batch | None:
        """All there is, up to the batch size; None if nothing arrives in time."""
        with self._arrived:
            if not self._records:
                self._arrived.wait(timeout_seconds)
            records, self._records = self._records[: self._batch_size], self._records[self._batch_size :]
            named = {(record.topic, record.partition) for record in records}
            return Batch(records, {each: self._epochs[each] for each in named}) if records else None

    def _is_current(self, record: Record, epochs: Mapping[Partition, int]) -> bool:
        partition = (record.topic, record.partition)
        return partition in epochs and epochs[partition] == self._epochs.get(partition)


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
            pass
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
            self.done.put(Done(applied, time.time()))

    def _patiently(self, stage: str, call: Callable[[], T]) -> T:
        """Call until it succeeds, however long a server is away; jittered exponential backoff."""
        waits = stamina.retry_context(
            on=Outage,
            attempts=None,
            timeout=None,
            wait_initial=FIRST_WAIT_SECONDS,
            wait_max=LONGEST_WAIT_SECONDS,
        )
        for attempt in waits:
            with attempt:
                if self._giving_up.is_set() or (self._stopping.is_set() and attempt.num > 1):
                    raise Stopped
                return self._noting_outages(stage, call)
        raise AssertionError("retry_context ends only with a result or an exception")

    def _noting_outages(self, stage: str, call: Callable[[], T]) -> T:
        try:
            with _timed(stage):
                result = call()
        except Outage as outage:
            self._health.outage(outage.server, outage.reason)
            raise
        self._health.answered(stage)
        return result

    def _offer(self, where: queue.Queue[T], item: T) -> None:
        """Put, unless the worker gives up first."""
        while not self._giving_up.is_set():
            try:
                where.put(item, timeout=0.2)
                return
            except queue.Full:
                continue


class _timed:  # noqa: N801
    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        STAGE_SECONDS.labels(self._stage).inc(time.perf_counter() - self._began)
