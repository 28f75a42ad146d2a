"""Killed workers, and everything delivered again: always the same end state. More in tests/faults."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from kindred.settings import Settings
from running import (
    FILMS,
    beside,
    eventually,
    is_ready,
    many,
    one,
    prepare,
    producing,
    rows,
    running,
    stuck,
    worker_process,
)
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'interaction'::regclass"
STATE = """
SELECT user_id, profile, history_items, history_types, history_at, history_length
FROM app_user ORDER BY user_id
"""
REVISIONS = "SELECT user_id, revision FROM app_user"


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_backlog(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path, batch_size=20), many(4_000)
    with producing(settings) as produce:
        produce.films()
        produce.interactions(events)
    with worker_process(settings, tmp_path / "first.log") as first:
        eventually(lambda: one(settings, LOGGED) > 200)
        first.kill()
    assert one(settings, LOGGED) < len(events)
    with running(beside(settings, batch_size=2_000)):
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
    assert_exact(settings, events)


def test_the_partner_of_a_killed_worker_takes_over(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path, batch_size=20), many(3_000)
    partner = beside(settings)
    with ExitStack() as stack:
        produce = stack.enter_context(producing(settings))
        stack.enter_context(running(partner))
        victim = stack.enter_context(worker_process(settings, tmp_path / "victim.log"))
        eventually(lambda: is_ready(settings) and is_ready(partner))
        produce.films()
        eventually(lambda: one(settings, "SELECT count(*) FROM item") == len(FILMS))
        with stuck(settings):  # both hold batches when one dies
            produce.interactions(events)
            eventually(lambda: one(settings, WAITING) >= 2)
            victim.kill()
        eventually(lambda: one(settings, LOGGED) == len(events), seconds=40)
        eventually(lambda: is_searchable(settings))
    assert_exact(settings, events)


def test_everything_delivered_again_changes_nothing_but_revisions(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path), many(500)
    with running(settings), producing(settings) as produce:
        produce.films()
        produce.interactions(events)
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
    before, revisions = rows(settings, STATE), dict(rows(settings, REVISIONS))
    kafka = settings.kafka.model_copy(update={"group_id": "another"})
    with running(settings.model_copy(update={"kafka": kafka})):
        eventually(lambda: all(revision > revisions[user] for user, revision in rows(settings, REVISIONS)))
        eventually(lambda: is_searchable(settings))
    assert rows(settings, STATE) == before
    assert_exact(settings, events)
