"""The producer: sends a workload at a rate, whatever happens to the servers."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from faults.expected import Barrier, Partition
from faults.flood import flood
from faults.rounds import Rounds
from faults.workload import Sent, Workload
from kindred.settings import Settings

TICK_SECONDS = 0.05
FLUSH_SECONDS = 120.0
MOST_A_TICK = 1_000  # of those asked for at once


class Traffic:
    """On a thread of its own from `start` to `stop`; `rate` may be changed meanwhile.

    `direct` leads to Postgres itself, and to Kafka as every producer reaches it.
    """

    def __init__(self, direct: Settings, workload: Workload, rate: float) -> None:
        self.rate = rate
        self.sent = 0
        self.is_resting = False  # no round of erasures begins
        self.lost = 0  # given up by the client: the broker never had them
        self.failure: BaseException | None = None
        self._direct = direct
        self._workload = workload
        self._rounds = Rounds(workload, direct)
        self._ends: dict[Partition, int] = {}
        self._piled_up = self._taken_off = 0  # records asked for at once, and those of them that were made
        self._waiting: deque[Sent] = deque()
        self._made = threading.Lock()  # records are made by one thread at a time
        self._noted = threading.Lock()
        self._stop = threading.Event()
        self._flush_seconds = FLUSH_SECONDS
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    @property
    def barriers(self) -> list[Barrier]:
        """Those that the oracle needs; complete after `stop`."""
        return self._rounds.barriers

    @property
    def arrived(self) -> int:
        """Records that the broker has."""
        return sum(self._ends.values())

    @property
    def outstanding(self) -> int:
        """Records that the broker is yet to get, besides those of the rate."""
        under_way = max(0, self.sent - self.lost - self.arrived)
        return self._piled_up - self._taken_off + len(self._waiting) + under_way

    def pile_up(self, number: int) -> None:
        """So many records more, as fast as the producer goes."""
        self._piled_up += number

    def stock(self, number: int) -> list[Sent]:
        """So many records, made now and sent by `flood`."""
        made: list[Sent] = []
        while len(made) < number:
            with self._made:
                made += self._workload.records(min(MOST_A_TICK, number - len(made)))
        return made

    def flood(self, records: Sequence[Sent], per_second: float) -> None:
        """Returns when the broker has them all; raises Lost."""
        flood(self._direct, records, per_second, self._note)
        self.sent += len(records)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when all that was sent has arrived, or was given up."""
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def abandon(self) -> None:
        """Stop without waiting for what is under way."""
        self._flush_seconds = 0.0
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            producer = KafkaProducer(
                bootstrap_servers=self._direct.kafka.bootstrap_servers,
                linger_ms=5,
                acks="all",
                max_block_ms=1_000,
                reconnect_backoff_max_ms=1_000,
            )
            try:
                self._produce(producer)
            finally:
                producer.close(timeout=self._flush_seconds)
        except BaseException as failure:
            self.failure = failure

    def _produce(self, producer: KafkaProducer) -> None:
        owed, last = 0.0, time.monotonic()
        while not self._stop.wait(TICK_SECONDS):
            now = time.monotonic()
            owed, last = owed + (now - last) * self.rate, now
            self._make(int(owed))
            owed -= int(owed)
            if not self._waiting:
                self._take_off(min(self._piled_up - self._taken_off, MOST_A_TICK))
            while self._waiting and self._send(producer, self._waiting[0]) is not None:
                self._waiting.popleft()
            with self._made:
                self._rounds.go_on(
                    now, lambda sent: self._send(producer, sent), self._ends, begins=not self.is_resting
                )
        if self._flush_seconds:
            producer.flush(timeout=self._flush_seconds)

    def _take_off(self, number: int) -> None:
        self._make(number)
        self._taken_off += number

    def _make(self, number: int) -> None:
        with self._made:
            self._waiting.extend(self._workload.records(number))

    def _send(self, producer: KafkaProducer, sent: Sent) -> Any:
        """Where it arrives, as a future; None where the client takes nothing more."""
        try:
            future = producer.send(
                self._direct.topic(sent.topic),
                key=sent.key,
                value=sent.value,
                partition=sent.partition,
                timestamp_ms=sent.timestamp_ms,
            )
        except KafkaError:
            return None
        future.add_callback(self._arrived)
        future.add_errback(self._given_up)
        self.sent += 1
        return future

    def _arrived(self, where: Any) -> None:
        self._note(where.topic, where.partition, where.offset + 1)

    def _note(self, topic: str, partition: int, next_offset: int) -> None:
        with self._noted:
            self._ends[topic, partition] = max(self._ends.get((topic, partition), 0), next_offset)

    def _given_up(self, _: BaseException) -> None:
        self.lost += 1


@contextmanager
def flowing(traffic: Traffic) -> Iterator[Traffic]:
    """From its start until all of it has arrived; abandoned where something goes wrong meanwhile."""
    traffic.start()
    try:
        yield traffic
    except BaseException:
        traffic.abandon()
        raise
    traffic.stop()
