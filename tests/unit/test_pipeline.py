"""The mailbox never mixes epochs; the pipeline keeps order, waits out outages and stops when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kindred.errors import Misconfigured, Outage
from kindred.events.schema import Record
from kindred.events.source import Claim, Polled
from kindred.health import Health
from kindred.mailbox import Batch, Mailbox
from kindred.pipeline import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Applied, Done, Pipeline, _waits

P0, P1 = ("interactions", 0), ("interactions", 1)


def record(offset: int, partition: int = 0) -> Record:
    return Record("interactions", partition, offset, 0, None, b"{}")


def records(*offsets: int, partition: int = 0) -> list[Record]:
    return [record(offset, partition) for offset in offsets]


def taken(mailbox: Mailbox) -> list[tuple[int, int]]:
    batch = mailbox.take(0)
    return [(each.partition, each.offset) for each in batch.records] if batch else []


class TestMailbox:
    def test_a_batch_is_whatever_has_arrived_up_to_its_size(self) -> None:
        mailbox = Mailbox(3, full_at=6)
        mailbox.put(Polled(records(0, 1), {P0: 1}))
        mailbox.put(Polled(records(2, 3), {P0: 1}))
        assert taken(mailbox) == [(0, 0), (0, 1), (0, 2)]
        assert taken(mailbox) == [(0, 3)]
        assert mailbox.take(0) is None

    def test_large_records_fill_it_and_its_batches_by_their_bytes(self) -> None:
        large = [Record("interactions", 0, offset, 0, b"key", bytes(997)) for offset in range(10)]
        mailbox = Mailbox(100, full_at=400, batch_bytes=2_500)
        mailbox.put(Polled(large[:9], {P0: 1}))
        assert not mailbox.is_full
        mailbox.put(Polled(large[9:], {P0: 1}))
        assert (mailbox.is_full, mailbox.is_low) == (True, False)
        assert [len(taken(mailbox)) for _ in range(6)] == [2, 2, 2, 2, 2, 0]
        assert (mailbox.is_full, mailbox.is_low) == (False, True)

    def test_a_record_larger_than_a_batch_goes_alone(self) -> None:
        mailbox = Mailbox(100, full_at=400, batch_bytes=100)
        mailbox.put(Polled([Record("interactions", 0, 0, 0, None, bytes(1_000)), record(1)], {P0: 1}))
        assert [taken(mailbox), taken(mailbox)] == [[(0, 0)], [(0, 1)]]

    def test_records_of_a_revoked_partition_are_dropped(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled([*records(5), *records(8, partition=1)], {P0: 1, P1: 1}))
        mailbox.put(Polled((), {P1: 1}))
        assert taken(mailbox) == [(1, 8)]

    def test_a_partition_that_was_revoked_and_came_back_starts_anew(self) -> None:
        """Rule 10: what was polled before would be committed past, without a trace."""
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled(records(5, 6), {P0: 1}))
        mailbox.put(Polled(records(3, 4), {P0: 2}))
        batch = mailbox.take(0)
        assert batch is not None
        assert [each.offset for each in batch.records] == [3, 4]
        assert batch.epochs == {P0: 2}

    def test_a_batch_names_the_epochs_of_its_own_partitions_only(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled(records(1), {P0: 1, P1: 1}))
        batch = mailbox.take(0)
        assert batch is not None
        assert batch.epochs == {P0: 1}
        assert batch.next_offsets == {P0: 2}

    def test_nothing_more_is_taken_of_a_refused_partition(self) -> None:
        """Rule 21: a commit of what follows would cover the batch that was left where it is."""
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled([*records(1), *records(1, partition=1)], {P0: 1, P1: 1}))
        mailbox.refuse({P0: 1})
        mailbox.put(Polled(records(2), {P0: 1, P1: 1}))
        assert taken(mailbox) == [(1, 1)]

    def test_a_refused_partition_is_judged_anew_in_its_next_epoch(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled(records(1), {P0: 1}))
        mailbox.refuse({P0: 1})
        mailbox.put(Polled(records(1), {P0: 2}))
        assert taken(mailbox) == [(0, 1)]

    def test_a_refusal_that_comes_too_late_is_about_an_epoch_that_is_over(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled(records(1), {P0: 2}))
        mailbox.refuse({P0: 1})
        assert taken(mailbox) == [(0, 1)]

    def test_claims_of_new_partitions_come_before_their_records(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled((), {P0: 1, P1: 1}, {P0: Claim(7, 7, 9), P1: Claim(0, 0, 0)}))
        mailbox.put(Polled(records(7), {P0: 1, P1: 1}))
        first, second = mailbox.take(0), mailbox.take(0)
        assert first is not None
        assert (first.claims, first.records) == ({P0: Claim(7, 7, 9), P1: Claim(0, 0, 0)}, ())
        assert second is not None
        assert [record.offset for record in second.records] == [7]
        assert mailbox.take(0) is None

    def test_a_batch_begins_where_the_group_or_the_batch_before_it_ended(self) -> None:
        """Not at its first record: compaction and transactions leave offsets out."""
        mailbox = Mailbox(2, full_at=20)
        mailbox.put(Polled((), {P0: 1}, {P0: Claim(7, 7, 99)}))
        mailbox.put(Polled(records(9, 10, 14), {P0: 1}))
        batches = [mailbox.take(0) for _ in range(3)]
        assert [batch.begins for batch in batches if batch is not None] == [{}, {P0: 7}, {P0: 11}]

    def test_claims_of_a_partition_that_went_again_are_gone(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        mailbox.put(Polled((), {P0: 1}, {P0: Claim(7, 7, 9)}))
        mailbox.put(Polled((), {}))
        assert mailbox.take(0) is None

    def test_of_a_paused_partition_only_what_a_person_has_accepted_stays_in_the_batch(self) -> None:
        epochs = {P0: 1, P1: 1}
        batch = Batch([*records(1, 2, 3), *records(5, partition=1)], epochs)
        assert batch.without(frozenset({P0}), {}).next_offsets == {P1: 6}
        kept = batch.without(frozenset({P0}), {P0: 3})
        assert kept.next_offsets == {P0: 3, P1: 6}
        assert kept.epochs == epochs

    def test_it_says_when_it_is_full_and_when_there_is_room_again(self) -> None:
        mailbox = Mailbox(2, full_at=4)
        assert (mailbox.is_full, mailbox.is_low) == (False, True)
        mailbox.put(Polled(records(0, 1, 2, 3), {P0: 1}))
        assert (mailbox.is_full, mailbox.is_low) == (True, False)
        mailbox.take(0)
        mailbox.take(0)
        assert mailbox.is_low

    def test_whoever_waits_is_woken_by_the_first_record(self) -> None:
        mailbox = Mailbox(10, full_at=20)
        threading.Timer(0.05, mailbox.put, [Polled(records(0), {P0: 1})]).start()
        began = time.monotonic()
        assert mailbox.take(5) is not None
        assert time.monotonic() - began < 2


def test_attempts_grow_apart_and_no_two_workers_come_at_once() -> None:
    ours, theirs = ([*islice(_waits(), 20)] for _ in range(2))
    assert len({*ours, *theirs}) == 40
    longest = FIRST_WAIT_SECONDS
    for wait_seconds in ours:
        assert longest / 2 <= wait_seconds <= longest
        longest = min(2 * longest, LONGEST_WAIT_SECONDS)
    assert longest == LONGEST_WAIT_SECONDS


@dataclass
class Steps:
    """Batches of one record each; `apply`, `embed` and `upsert` do what a test wants."""

    batches: list[Batch]
    on_apply: Callable[[Batch], None] = lambda batch: None
    on_embed: Callable[[Applied], None] = lambda applied: None
    on_upsert: Callable[[Any], None] = lambda embedded: None
    attempts: list[int] = field(default_factory=list)

    def next_batch(self, timeout_seconds: float) -> Batch | None:
        if self.batches:
            return self.batches.pop(0)
        time.sleep(0.01)
        return None

    def apply(self, batch: Batch) -> Applied:
        self.attempts.append(batch.records[0].offset)
        self.on_apply(batch)
        return Applied(batch, [])

    def embed(self, applied: Applied) -> list[Any]:
        self.on_embed(applied)
        return [applied.batch.records[0].offset]

    def upsert(self, embedded: Any) -> None:
        self.on_upsert(embedded)

    def count(self, done: Done) -> None:
        """Nothing to measure here."""


def batches(number: int) -> list[Batch]:
    return [Batch(records(offset), {P0: 1}) for offset in range(number)]


@contextmanager
def started(steps: Steps, health: Health | None = None) -> Iterator[Pipeline]:
    pipeline = Pipeline(steps, health or Health())
    pipeline.start()
    try:
        yield pipeline
    finally:
        pipeline.stop(2)
    assert not any(thread.is_alive() for thread in threading.enumerate() if thread.name in THREADS)


THREADS = {"_apply", "_embed", "_upsert"}


def done(pipeline: Pipeline, number: int) -> list[int]:
    """Offsets of the first batches that come out."""
    return [pipeline.done.get(timeout=5).applied.batch.records[0].offset for _ in range(number)]


class Away:
    """Fails so many times as a server that is away, and then no more."""

    def __init__(self, server: str, times: int) -> None:
        self.server, self.left = server, times

    def __call__(self, _: object) -> None:
        if self.left:
            self.left -= 1
            raise Outage(self.server, "connection refused")


class TestPipeline:
    def test_batches_come_out_in_the_order_they_went_in(self) -> None:
        steps = Steps(batches(50), on_embed=lambda applied: time.sleep(0.001))
        with started(steps) as pipeline:
            assert done(pipeline, 50) == list(range(50))

    def test_an_outage_is_waited_out_and_nothing_overtakes(self) -> None:
        health = Health()
        with started(Steps(batches(5), on_upsert=Away("qdrant", 3)), health) as pipeline:
            assert done(pipeline, 5) == list(range(5))
        assert "qdrant is away" not in health.reasons()

    def test_a_server_is_back_in_whichever_step_it_answers(self) -> None:
        """Qdrant's step ends with a statement in Postgres: an outage of that must not stay for ever."""
        health = Health()
        with started(Steps(batches(1), on_upsert=Away("postgres", 1)), health) as pipeline:
            assert done(pipeline, 1) == [0]
        assert "postgres is away" not in health.reasons()

    def test_an_outage_is_a_reason_while_it_lasts(self) -> None:
        health = Health()
        with started(Steps(batches(1), on_apply=Away("postgres", 10**9)), health):
            deadline = time.monotonic() + 5
            while "postgres is away" not in health.reasons():
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_a_failure_stops_all_steps_and_what_came_before_it_is_done(self) -> None:
        def fail(applied: Applied) -> None:
            if applied.batch.records[0].offset == 2:
                raise Misconfigured("no such model")

        with started(Steps(batches(50), on_embed=fail)) as pipeline:
            deadline = time.monotonic() + 5
            while pipeline.failure is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert isinstance(pipeline.failure, Misconfigured)
        assert done(pipeline, pipeline.done.qsize()) in ([], [0], [0, 1])

    def test_stopping_finishes_what_is_under_way(self) -> None:
        steps = Steps(batches(3), on_upsert=lambda embedded: time.sleep(0.1))
        with started(steps) as pipeline:
            while len(steps.attempts) < 3:
                time.sleep(0.01)
        assert done(pipeline, 3) == [0, 1, 2]

    def test_stopping_during_an_outage_gives_up_at_once_and_finishes_nothing(self) -> None:
        with started(Steps(batches(3), on_upsert=Away("qdrant", 10**9))) as pipeline:
            time.sleep(1.0)  # by now it waits for a second and more between attempts
            began = time.monotonic()
            pipeline.stop(5)
            assert time.monotonic() - began < 0.5
        assert pipeline.failure is None
        assert pipeline.done.empty()

    def test_stopping_does_not_wait_for_a_call_that_hangs(self) -> None:
        release = threading.Event()
        pipeline = Pipeline(Steps(batches(9), on_upsert=lambda embedded: release.wait() and None), Health())
        pipeline.start()
        time.sleep(0.1)
        began = time.monotonic()
        pipeline.stop(0.3)
        assert time.monotonic() - began < 1
        release.set()
