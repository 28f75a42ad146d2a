"""Postgres killed, frozen, full, overrun and out of order, under a worker that goes on afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from faults.scene import Scene
from kindred.local import postgres
from kindred.local.servers import temporary_folder
from running import eventually, is_alive
from servers.restartable import Restartable, restartable

DISK_MIB = 32
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kindred-worker'"
DEADLOCKS = "SELECT sum(deadlocks) FROM pg_stat_database"


@pytest.fixture(scope="module")
def disk() -> Iterator[Path | None]:
    """A small disk of its own, where this machine lets us mount one."""
    with temporary_folder() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0777", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
            yield None
            return
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def server(disk: Path | None) -> Iterator[Restartable]:
    """A Postgres of this module's own, whose tables lie on the small disk."""
    with temporary_folder() as folder, postgres.launch(folder) as launched, restartable(launched) as server:
        # What was committed must outlive kill -9: the embedded one would lose its last moments.
        set_up = ["ALTER DATABASE postgres SET synchronous_commit = on"]
        # Before the worker's lock_timeout.
        set_up += ["ALTER DATABASE postgres SET deadlock_timeout = '500ms'"]
        if disk is not None:
            set_up += [f"CREATE TABLESPACE small LOCATION '{_directory_for_postgres(disk)}'"]
            set_up += ["GRANT CREATE ON TABLESPACE small TO PUBLIC"]
            set_up += ["ALTER DATABASE postgres SET default_tablespace = small"]
        with session(server.address) as connection:
            for statement in set_up:
                connection.execute(statement)
        yield server


@pytest.fixture(scope="module")
def postgres_url(server: Restartable) -> str:
    return server.address


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's, in autocommit."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def in_mid_transaction(scene: Scene, server: Restartable) -> Iterator[psycopg.Connection[Any]]:
    """The worker is in the transaction of some clicks, and gets no further."""
    table = f"{scene.settings.schema_name}.interaction"
    with closing(psycopg.connect(server.address)) as connection:  # not committed: its server may be gone
        connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        scene.clicks()
        eventually(lambda: connection.execute(WAITING, [table]).fetchone()[0])
        yield connection


@pytest.mark.parametrize("away_seconds", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_kill_9_in_mid_transaction_and_a_restart(
    scene: Scene, server: Restartable, away_seconds: float
) -> None:
    rebalances = scene.rebalances()
    with in_mid_transaction(scene, server):
        server.kill()
    scene.clicks()
    scene.away("postgres")
    time.sleep(away_seconds)
    assert is_alive(scene.settings)
    server.start()
    scene.settle()
    assert scene.rebalances() == rebalances


@pytest.mark.slow
@pytest.mark.parametrize("more_seconds", [2, 60])
@pytest.mark.timeout(240)
def test_frozen_for_longer_than_the_timeouts(scene: Scene, server: Restartable, more_seconds: float) -> None:
    rebalances = scene.rebalances()
    with in_mid_transaction(scene, server):
        server.freeze()
        try:
            scene.clicks()
            scene.away("postgres", because="no answer")
            time.sleep(more_seconds)
            assert is_alive(scene.settings)
        finally:
            server.thaw()
    scene.settle()
    assert scene.rebalances() == rebalances


def test_a_failover_that_loses_every_connection(scene: Scene, server: Restartable) -> None:
    with in_mid_transaction(scene, server) as connection:
        cut = connection.execute(TERMINATE).fetchall()
    assert len(cut) >= 2
    scene.clicks()
    scene.settle()


def test_too_many_connections(scene: Scene, server: Restartable) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(session(server.address))
        _take_every_connection(stack, server.address)
        other.execute(TERMINATE)
        _take_every_connection(stack, server.address)
        scene.clicks()
        scene.away("postgres", because="too many clients|slots are reserved")
    scene.settle()


def test_a_full_disk(scene: Scene, disk: Path | None) -> None:
    if disk is None:
        pytest.skip("no disk can be mounted here")
    filler = disk / "filler"
    _fill(filler)
    try:
        scene.clicks(2_000)
        scene.away("postgres", because="No space left on device")
    finally:
        filler.unlink()
    scene.settle()


def test_a_deadlock_with_a_foreign_transaction(scene: Scene, server: Restartable) -> None:
    with session(server.address) as observer:
        before = observer.execute(DEADLOCKS).fetchone()
        deadline = time.monotonic() + 30
        while observer.execute(DEADLOCKS).fetchone() == before:
            assert time.monotonic() < deadline
            scene.clicks(200)
            _lock_users_backwards(scene, server.address)
    scene.settle()


def _lock_users_backwards(scene: Scene, url: str) -> None:
    """The worker locks users in the order of their ids, and waits for the last one, which is ours."""
    table = f"{scene.settings.schema_name}.app_user"
    with psycopg.connect(url) as foreign:
        foreign.execute("SET deadlock_timeout = '20s'")  # so that the worker's transaction is the victim
        foreign.execute(f"SELECT FROM {table} WHERE user_id = (SELECT max(user_id) FROM {table}) FOR UPDATE")
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        eventually(lambda: foreign.execute(blocked).fetchone()[0])
        foreign.execute(f"SELECT FROM {table} ORDER BY user_id DESC FOR UPDATE")


def _take_every_connection(stack: ExitStack, url: str) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            stack.enter_context(psycopg.connect(url))


def _fill(filler: Path) -> None:
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))


def _directory_for_postgres(disk: Path) -> Path:
    """Postgres runs as another user where the tests run as root."""
    directory = disk / "tablespace"
    directory.mkdir(mode=0o700)
    user_id = postgres._unprivileged_user()
    if user_id is not None:
        os.chown(directory, user_id, -1)
    return directory
