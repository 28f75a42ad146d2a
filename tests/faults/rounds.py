"""Erasures and returns, a round after another: each ends with a barrier, before anything follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from faults.expected import Barrier, Partition
from faults.workload import Sent, Workload
from kindred.settings import Settings

PAUSE_SECONDS = 3.0
LOOK_SECONDS = 0.3
USERS_A_ROUND = 4
READ = "SELECT topic, partition, next_offset FROM {}.synced_offset"

Send = Callable[[Sent], Any]  # a future, or None: later


class Rounds:
    """Called again and again from the thread that sends; never waits long."""

    def __init__(self, workload: Workload, direct: Settings) -> None:
        self.barriers: list[Barrier] = []
        self._workload = workload
        self._direct = direct
        self._to_send: list[Sent] = []
        self._under_way: list[Any] = []
        self._barrier: Barrier | None = None
        self._next_at = 0.0

    def go_on(self, now: float, send: Send, ends: Mapping[Partition, int], begins: bool = True) -> None:
        """The next step, if it is time; `ends`: the next offset of each partition, as far as is known.

        A round that is under way ends; without `begins` no other follows.
        """
        if now < self._next_at:
            return
        self._next_at = now + LOOK_SECONDS
        if self._to_send:
            self._send(send)
        elif self._under_way:
            self._await_arrival(ends)
        elif self._barrier is None:
            if not begins:
                return
            self._to_send = self._workload.erasures(USERS_A_ROUND)
        elif self._is_in_postgres(self._barrier):
            self.barriers.append(self._barrier)
            self._barrier = None
            self._workload.came_back()
            self._next_at = now + PAUSE_SECONDS

    def _send(self, send: Send) -> None:
        while self._to_send and (future := send(self._to_send[0])) is not None:
            self._under_way.append(future)
            self._to_send.pop(0)

    def _await_arrival(self, ends: Mapping[Partition, int]) -> None:
        """Raises KafkaError where one was given up: nobody could say who is erased."""
        if all(future.is_done for future in self._under_way):
            barrier = dict(ends)
            for future in self._under_way:
                where = future.get()
                partition = (where.topic, where.partition)
                barrier[partition] = max(barrier.get(partition, 0), where.offset + 1)
            self._under_way, self._barrier = [], barrier

    def _is_in_postgres(self, barrier: Barrier) -> bool:
        statement = sql.SQL(READ).format(sql.Identifier(self._direct.schema_name))
        with suppress(psycopg.Error):
            with psycopg.connect(
                self._direct.postgres.url, connect_timeout=2, options="-c statement_timeout=1000"
            ) as connection:
                read = {(topic, each): offset for topic, each, offset in connection.execute(statement)}
            return all(read.get(each, 0) >= end for each, end in barrier.items())
        return False
