"""Partitions that move, or seem to, in the middle of a backlog lose nothing (rule 10)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from kindred.settings import Settings
from running import beside, eventually, is_ready, many, one, prepare, producing, running, stuck
from truth import assert_exact, is_searchable

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
