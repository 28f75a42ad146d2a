"""Killed workers, servers that go away, everything delivered again: always the same end state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT

import psutil
import pytest

from kindred.local import postgres
from kindred.local.processes import ChildProcess
from kindred.local.servers import temporary_folder
from kindred.settings import Settings
from proxy import State, proxied
from running import (
    FILMS,
    beside,
    eventually,
    is_alive,
    is_ready,
    many,
    one,
    prepare,
    producing,
    ready,
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


@pytest.mark.parametrize("state", [pytest.param("refusing", marks=pytest.mark.slow), "silent"])
def test_a_worker_outlives_qdrant(settings: Settings, tmp_path: Path, state: State) -> None:
    events = many(300)
    with proxied(settings.qdrant.url) as proxy:
        qdrant = settings.qdrant.model_copy(update={"url": proxy.url, "timeout_seconds": 2.0})
        settings = prepare(settings.model_copy(update={"qdrant": qdrant}), tmp_path)
        with running(settings), producing(settings) as produce:
            eventually(lambda: is_ready(settings))
            proxy.become(state)
            produce.interactions(events)
            assert "qdrant is away" in eventually(lambda: ready(settings)["reasons"])
            assert is_alive(settings)
            eventually(lambda: one(settings, LOGGED) == len(events))
            proxy.become("open")
            eventually(lambda: is_ready(settings))
            eventually(lambda: is_searchable(settings))
        assert_exact(settings, events)


def test_a_worker_outlives_postgres(settings: Settings, tmp_path: Path) -> None:
    events = many(300)
    with temporary_folder() as folder, ExitStack() as stack:
        server = stack.enter_context(postgres.launch(folder))
        server.wait_until_ready()
        settings = settings.model_copy(
            update={"postgres": settings.postgres.model_copy(update={"url": server.address})}
        )
        settings = prepare(settings, tmp_path)
        with running(settings), producing(settings) as produce:
            eventually(lambda: is_ready(settings))
            start_again = _stop(server.process)
            produce.interactions(events)
            assert "postgres is away" in eventually(lambda: ready(settings)["reasons"])
            assert is_alive(settings)
            stack.enter_context(start_again(folder / "again.log"))
            eventually(lambda: is_ready(settings))
            eventually(lambda: one(settings, LOGGED) == len(events))
            eventually(lambda: is_searchable(settings))
        assert_exact(settings, events)


def _stop(process: ChildProcess) -> Callable[[Path], ChildProcess]:
    """Stop a server; what is returned starts it again, with the same files and port."""
    running = psutil.Process(process.pid)
    command, user_id = running.cmdline(), running.uids().real
    process.stop()
    return lambda log: ChildProcess("Postgres", command, log=log, stop_signal=SIGINT, user_id=user_id or None)
