"""What each failure of Postgres becomes: an outage, a refused record, or something to change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from histories import FILM_SHOP, apply, batch, describe, migrated_database, privileged, rows, value, watch
from kindred.errors import Misconfigured, Outage, RefusedByPostgres, SchemaOutdated
from kindred.events.schema import Interaction
from kindred.history.connection import Database
from kindred.history.leader import Leadership
from kindred.history.store import HistoryStore
from kindred.settings import PostgresSettings
from running import eventually

IDLE_SECONDS = 2.0


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture
def store(database: Database) -> HistoryStore:
    return HistoryStore(database, FILM_SHOP)


@contextmanager
def connected(url: str, **settings: Any) -> Iterator[Database]:
    with closing(Database(PostgresSettings(url=url, **settings), "nowhere")) as database:
        yield database


def replaced(url: str, **parts: str) -> str:
    split = urlsplit(url)
    user, host = parts.get("user", split.username), parts.get("host", f"{split.hostname}:{split.port}")
    password = parts.get("password", split.password or "")
    path = parts.get("path", split.path)
    return urlunsplit((split.scheme, f"{user}:{password}@{host}", path, split.query, ""))


def execute(database: Database, *statements: str) -> None:
    """All in one transaction."""
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_wrong_password_names_the_setting(postgres_url: str) -> None:
    if not urlsplit(postgres_url).password:
        pytest.skip("this Postgres asks for no password")
    with (
        connected(replaced(postgres_url, password="wrong")) as database,
        pytest.raises(Misconfigured, match="KINDRED_POSTGRES__PASSWORD"),
    ):
        execute(database, "SELECT 1")


def test_the_password_may_stand_beside_the_url(postgres_url: str) -> None:
    password = urlsplit(postgres_url).password or "unused"
    with connected(replaced(postgres_url, password=""), password=password) as database:
        execute(database, "SELECT 1")


def test_a_database_that_is_not_there_names_the_setting(postgres_url: str) -> None:
    with (
        connected(replaced(postgres_url, path="/nosuchdatabase")) as database,
        pytest.raises(Misconfigured, match=r"nosuchdatabase.*KINDRED_POSTGRES__URL"),
    ):
        execute(database, "SELECT 1")


def test_what_is_no_url_says_what_one_looks_like() -> None:
    with pytest.raises(Misconfigured, match="postgresql://user@host:5432/database"), connected("localhost"):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # localhost may be two addresses
def test_a_server_that_is_away_is_an_outage(postgres_url: str, host: str, free_port: int) -> None:
    away = replaced(postgres_url, host=f"{host}:{free_port}")
    with connected(away) as database, pytest.raises(Outage) as outage:
        execute(database, "SELECT 1")
    assert outage.value.server == "postgres"


def test_a_schema_without_tables_says_what_to_run(postgres_url: str) -> None:
    with connected(postgres_url) as database, pytest.raises(SchemaOutdated, match="kindred migrate"):
        HistoryStore(database, FILM_SHOP)


def test_a_statement_that_takes_too_long_is_an_outage(postgres_url: str) -> None:
    slow = connected(postgres_url, statement_timeout_seconds=0.1)
    with slow as database, pytest.raises(Outage, match="statement timeout"):
        execute(database, "SELECT pg_sleep(5)")


@pytest.mark.parametrize("state", ["XX000", "XX001", "53100", "57P01", "58030"])
def test_what_no_event_is_to_blame_for_is_an_outage(database: Database, state: str) -> None:
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(Outage, match="broken"):
        execute(database, raised)


def test_a_lock_that_takes_too_long_is_an_outage(postgres_url: str, database: Database) -> None:
    impatient = Database(PostgresSettings(url=postgres_url, lock_timeout_seconds=0.1), database.schema)
    with closing(impatient), database.transaction() as connection:
        connection.execute("LOCK TABLE model IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Outage, match="lock timeout"):
            execute(impatient, "SELECT FROM model")


def test_a_connection_that_was_cut_is_an_outage_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(Outage):
        execute(database, "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1")
    assert value(database, "SELECT 1") == 1


def test_connections_cut_in_the_pool_are_not_noticed(database: Database) -> None:
    with database.transaction() as connection:
        pid = connection.info.backend_pid
    with database.transaction() as first, database.transaction() as second:
        for each in (first, second):
            if each.info.backend_pid != pid:
                each.execute("SELECT pg_terminate_backend(%s)", [pid])
    time.sleep(0.1)
    assert value(database, "SELECT 1") == 1


def test_a_transaction_that_was_suspended_too_long_is_an_outage(database: Database) -> None:
    with pytest.raises(Outage):
        _sleep_within(database, "50ms", seconds=0.3)


def test_a_server_that_only_reads_is_an_outage(database: Database) -> None:
    """After a failover, until the standby is promoted."""
    with pytest.raises(Outage):
        execute(database, "SET TRANSACTION READ ONLY", "CREATE TABLE readonly (id int)")


def test_a_deadlock_is_an_outage(database: Database) -> None:
    outcomes: list[Any] = []
    both_hold = threading.Barrier(2)

    def lock(first: int, second: int) -> None:
        try:
            with privileged(database) as superuser, superuser.transaction() as connection:
                connection.execute("SET LOCAL deadlock_timeout = '50ms'")
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [first])
                both_hold.wait(5)
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [second])
            outcomes.append(None)
        except Outage as outage:
            outcomes.append(outage)

    threads = [threading.Thread(target=lock, args=pair) for pair in ((71, 72), (72, 71))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (victim,) = [outcome for outcome in outcomes if outcome is not None]
    assert "deadlock" in victim.reason
    assert len(outcomes) == 2


REFUSED = {
    "NUL in a user id": watch("a\x00b", "film", 1),
    "NUL in an event id": watch("ann", "film", 1, "e\x00"),
    "lone surrogate in an item id": watch("ann", "\ud800", 1),
    "NUL in a context": Interaction("e", "ann", "film", "watch", 1, None, '{"a": "\\u0000"}'),
    "lone surrogate in a context": Interaction("e", "ann", "film", "watch", 1, None, '{"a": "\\ud800"}'),
    "context that is no JSON": Interaction("e", "ann", "film", "watch", 1, None, "{"),
    "a time before Postgres has any": Interaction("e", "ann", "film", "watch", -(2**62), None, None),
    "NUL in a title": describe("film", 1, "a\x00b"),
    "an id over what an index takes": watch("ann", "film", 1, "e" * 3_000_000),
}


@pytest.mark.parametrize("event", REFUSED.values(), ids=REFUSED)
def test_what_postgres_refuses_is_told_apart_and_leaves_nothing(
    database: Database, store: HistoryStore, event: Any
) -> None:
    with pytest.raises(RefusedByPostgres):
        store.apply(batch(event, watch("good", "film", 1)))
    assert rows(database, "SELECT FROM app_user WHERE user_id IN ('ann', 'good')") == []


def test_after_a_refusal_the_same_connection_goes_on(store: HistoryStore) -> None:
    with pytest.raises(RefusedByPostgres):
        apply(store, watch("a\x00b", "film", 1))
    assert apply(store, watch("going-on", "film", 1)).fresh == 1


def test_a_deployments_own_isolation_default_does_not_reach_the_room(database: Database) -> None:
    assert value(database, "SHOW transaction_isolation") == "read committed"
    assert value(database, "SHOW client_encoding") == "UTF8"
    assert value(database, "SHOW idle_in_transaction_session_timeout") == "10s"


def test_one_worker_leads_and_another_takes_over(database: Database) -> None:
    with Leadership(database) as first, Leadership(database) as second:
        assert first.held()
        assert first.held()
        assert not second.held()
        first.__exit__(None, None, None)
        eventually(second.held)  # Postgres lets go once it has seen the connection end
        assert not first.held()


LEADS = f"""
import os, time
from kindred.history.connection import Database
from kindred.history.leader import Leadership
from kindred.server_settings import PostgresSettings
database = Database(PostgresSettings(url=os.environ["URL"]), os.environ["SCHEMA"])
with Leadership(database, idle_timeout_seconds={IDLE_SECONDS}) as leadership:
    print(leadership.held(), flush=True)
    time.sleep(60)
"""


def test_a_leader_that_is_frozen_is_replaced_and_one_that_is_busy_is_not(
    postgres_url: str, database: Database
) -> None:
    command, variables = [sys.executable, "-c", LEADS], {"URL": postgres_url, "SCHEMA": database.schema}
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | variables) as leader,
        Leadership(database, 60.0) as other,
    ):
        try:
            assert leader.stdout is not None
            assert leader.stdout.readline() == b"True\n"
            time.sleep(2 * IDLE_SECONDS)  # its task takes long
            assert not other.held()
            leader.send_signal(signal.SIGSTOP)
            eventually(other.held)
        finally:
            leader.kill()


def test_a_leader_whose_connection_was_cut_learns_of_it(database: Database) -> None:
    with Leadership(database) as first, Leadership(database) as second:
        assert first.held()
        assert isinstance(first._connection, psycopg.Connection)
        _terminate(database, first._connection)
        with pytest.raises(Outage):
            first.held()
        assert second.held()
        assert not first.held()


def _sleep_within(database: Database, allowed: str, seconds: float) -> None:
    with database.transaction() as connection:
        connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{allowed}'")
        time.sleep(seconds)
        connection.execute("SELECT 1")


def _terminate(database: Database, connection: psycopg.Connection[Any]) -> None:
    pid = connection.info.backend_pid
    execute(database, f"SELECT pg_terminate_backend({pid}, 2000)")
