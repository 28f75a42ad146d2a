"""Partitions that move, or seem to, in the middle of a backlog lose nothing (rule 10)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from kindred.events.source import Source
from kindred.settings import Settings
from running import beside, eventually, is_ready, many, one, prepare, producing, running, stuck
from truth import assert_exact, is_searchable

BATCH_SIZE = 10
LOGGED = "SELECT count(*) FROM interaction"


def test_a_worker_that_keeps_its_partitions_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    """kafka-python keeps the position of a partition that stays, beyond the records that are dropped here."""
    settings = prepare(settings, tmp_path, batch_size=50)
    second, events = beside(settings), many(1_200)
    with producing(settings) as produce:
        produce.films()
        produce.interactions(events)
    with running(settings):
        eventually(lambda: one(settings, LOGGED) > 100)
        with ExitStack() as meanwhile:
            with stuck(settings):  # much lies in the mailbox when the rebalance comes
                meanwhile.enter_context(running(second))
                eventually(lambda: is_ready(second))
            eventually(lambda: one(settings, LOGGED) == len(events))
            eventually(lambda: is_searchable(settings))
    assert_exact(settings, events)


def test_a_pause_of_an_earlier_epoch_pauses_nothing(settings: Settings) -> None:
    """A partition trips, a rebalance comes, and only then is it to be paused: nobody would resume it."""
    topic = settings.topic("interactions")
    source = Source(settings.kafka, [topic], settings.topic("pauses"), BATCH_SIZE)
    try:
        eventually(lambda: source.poll() and source.is_joined and (topic, 1) in source.assignment)
        partition, epoch = (topic, 1), source.poll().epochs[topic, 1]
        source.start_partition(partition)  # a new epoch, as after a rebalance
        eventually(lambda: source.poll().epochs.get(partition) != epoch)
        source.stop_partition(partition, epoch)
        assert source.stopped == frozenset()
        with producing(settings) as produce:
            produce.raw("interactions", "u1", b"late", 1)
            produce.flush()
            eventually(lambda: [each.value for each in source.poll().records] == [b"late"])
    finally:
        source.close()
