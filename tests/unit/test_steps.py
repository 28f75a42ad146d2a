"""What a worker takes next. Everything else about it is tested on real servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kindred.events.schema import Record
from kindred.events.source import Polled
from kindred.history.store import Pending
from kindred.mailbox import Batch, Mailbox
from kindred.steps import BUSY_PENDING_ROWS, Parts, WorkerSteps, _first_offset

P0 = ("interactions", 0)
BATCH_SIZE = 1_000


@dataclass
class PendingRows:
    """A history that always has rows waiting, and remembers how many were asked for."""

    limits: list[int] = field(default_factory=list)

    def take_pending(self, limit: int) -> Pending:
        self.limits.append(limit)
        return Pending(("user",), ("7",), (1,))


@dataclass
class NonePaused:
    partitions: frozenset[Any] = frozenset()


def steps(history: PendingRows, mailbox: Mailbox) -> WorkerSteps:
    unused: Any = None
    parts = Parts(
        source=unused, mailbox=mailbox, tripped=NonePaused(), breaker=unused, syncer=unused,  # type: ignore[arg-type]
        history=history, database=unused, models=unused, lineage=unused,  # type: ignore[arg-type]
    )  # fmt: skip
    return WorkerSteps(parts, BATCH_SIZE)


def test_pending_rows_and_records_take_turns_under_steady_traffic() -> None:
    history, mailbox = PendingRows(), Mailbox(BATCH_SIZE, full_at=2 * BATCH_SIZE)
    worker = steps(history, mailbox)
    mailbox.put(Polled([Record("interactions", 0, 5, 0, None, b"{}")], {P0: 1}))
    first, second = worker.next_batch(0), worker.next_batch(0)
    assert first is not None
    assert first.pending.ids == ("7",)
    assert second is not None
    assert [record.offset for record in second.records] == [5]
    assert history.limits == [BUSY_PENDING_ROWS]


def test_an_idle_worker_takes_as_many_pending_rows_as_a_batch_holds() -> None:
    history = PendingRows()
    assert steps(history, Mailbox(BATCH_SIZE, full_at=2 * BATCH_SIZE)).next_batch(0) is not None
    assert history.limits == [BATCH_SIZE]


def test_a_partition_that_trips_again_is_paused_before_what_nobody_has_accepted() -> None:
    records = [Record("interactions", 0, offset, 0, None, b"{") for offset in range(10)]
    batch = Batch(records, {P0: 1})
    assert _first_offset(batch, P0, 0) == 0
    assert _first_offset(batch, P0, 4) == 4
