"""What a worker takes next. Everything else about it is tested on real servers."""

from __future__ import annotations

import threading
from typing import Any

from kindred.events.schema import Record
from kindred.events.source import Polled
from kindred.health import Health
from kindred.history.store import Pending
from kindred.worker import BUSY_PENDING_ROWS, Worker

P0 = ("interactions", 0)
BATCH_SIZE = 1_000


class PendingRows:
    """A history that always has rows waiting, and remembers how many were asked for."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    def pending(self, limit: int) -> Pending:
        self.limits.append(limit)
        return Pending(("user",), ("7",), (1,))


def test_pending_rows_and_records_take_turns_under_steady_traffic() -> None:
    leads, history = threading.Event(), PendingRows()
    leads.set()
    nothing: Any = None
    worker = Worker(nothing, nothing, history, nothing, Health(), batch_size=BATCH_SIZE, drains_pending=leads)  # type: ignore[arg-type]
    worker._mailbox.put(Polled([Record("interactions", 0, 5, 0, None, b"{}")], {P0: 1}))
    first, second = worker.next_batch(0), worker.next_batch(0)
    assert first is not None
    assert first.pending.ids == ("7",)
    assert second is not None
    assert [record.offset for record in second.records] == [5]
    assert history.limits == [BUSY_PENDING_ROWS]


def test_a_worker_that_does_not_lead_leaves_pending_rows_alone() -> None:
    history, nothing = PendingRows(), None
    worker = Worker(
        nothing, nothing, history, nothing, Health(), batch_size=BATCH_SIZE,
        drains_pending=threading.Event(),
    )  # type: ignore[arg-type]  # fmt: skip
    assert worker.next_batch(0) is None
    assert history.limits == []
