"""Postgres that is not what it was: another password, an older state; and a worker that is not awake."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from chain import kindred
from kindred.errors import Misconfigured
from kindred.history.connection import Database
from kindred.local import postgres
from kindred.local.servers import temporary_folder
from kindred.settings import PostgresSettings, Settings
from running import (
    eventually,
    is_alive,
    is_ready,
    many,
    one,
    prepare,
    producing,
    reached_at,
    running,
    worker_process,
)
from servers.namespace import fresh_namespace
from servers.restartable import restartable
from truth import assert_exact, is_searchable

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'doomed'"


@pytest.fixture
def doomed(postgres_url: str) -> Iterator[str]:
    """The URL of a user of this test's own."""
    url = urlsplit(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE doomed SUPERUSER LOGIN PASSWORD 'before'")
        yield urlunsplit(url._replace(netloc=f"doomed:before@{url.hostname}:{url.port}"))
        connection.execute("REASSIGN OWNED BY doomed TO CURRENT_USER")
        connection.execute("DROP OWNED BY doomed")
        connection.execute("DROP ROLE doomed")


def test_a_password_that_was_changed_stops_the_worker(
    settings: Settings, postgres_url: str, doomed: str, tmp_path: Path
) -> None:
    settings = reached_at(prepare(settings, tmp_path), doomed)
    with (  # noqa: PT012
        pytest.raises(Misconfigured, match="KINDRED_POSTGRES__PASSWORD"),
        running(settings),
        producing(settings) as produce,
    ):
        eventually(lambda: is_ready(settings))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE doomed PASSWORD 'after'")
            connection.execute(TERMINATE)
        produce.interactions(many(20))
        eventually(lambda: not is_alive(settings))


@pytest.mark.slow
def test_a_worker_that_stands_still_within_a_result_gives_its_locks_back(postgres_url: str) -> None:
    """Rule 8. Its kernel answers for it, and statement_timeout does not reach a server that is writing."""
    with (
        closing(Database(PostgresSettings(url=postgres_url), "public")) as database,
        closing(database.dedicated()) as stopped,
        psycopg.connect(postgres_url, autocommit=True) as other,
    ):
        rows = "SELECT repeat('x', 1000) FROM generate_series(1, 300000)"
        stopped.pgconn.send_query(f"BEGIN; SELECT pg_advisory_xact_lock(42); {rows}".encode())
        held = "SELECT wait_event = 'ClientWrite' FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: other.execute(held, [stopped.info.backend_pid]).fetchone() == (True,))
        assert other.execute("SELECT pg_try_advisory_lock(42)").fetchone() == (False,)
        eventually(lambda: other.execute("SELECT pg_try_advisory_lock(42)").fetchone() == (True,), 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_restored_from_an_older_copy_it_stops_until_it_is_recovered(
    kafka_bootstrap: str, qdrant_url: str, tmp_path: Path
) -> None:
    events = many(600)
    with (
        temporary_folder() as folder,
        postgres.launch(folder) as launched,
        restartable(launched) as server,
        fresh_namespace(kafka_bootstrap, server.address, qdrant_url) as settings,
        producing(settings) as produce,
    ):
        settings = prepare(settings, tmp_path)
        with worker_process(settings, tmp_path / "worker.log") as worker:
            produce.films()
            produce.interactions(events[:200])
            _all_there(settings, 200)
            server.stop()
            subprocess.run(["cp", "-a", folder / "postgres", folder / "older"], check=True)
            server.start()
            produce.interactions(events[200:400])
            _all_there(settings, 400)
            server.stop()
            shutil.rmtree(folder / "postgres")
            (folder / "older").rename(folder / "postgres")
            server.start()
            produce.interactions(events[400:])
            assert worker.wait(60) == 1
        # Whichever of the two witnesses speaks first: Qdrant's revisions or the group's offsets.
        assert "kindred recover" in (tmp_path / "worker.log").read_text().splitlines()[-1]
        assert kindred(settings, "recover")["done"]["epoch"] == 1
        with running(settings):
            _all_there(settings, 600)
        assert_exact(settings, events)


def _all_there(settings: Settings, number: int) -> None:
    eventually(lambda: one(settings, "SELECT count(*) FROM interaction") == number, seconds=60)
    eventually(lambda: is_searchable(settings))
