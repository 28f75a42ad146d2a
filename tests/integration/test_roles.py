"""The three roles of Postgres: what each may do, what not, and how they come about.

All other tests of this folder run workers and commands as the worker's role: what that one needs, it has.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from chain import NO_EVENT, Chain, chain, kindred
from histories import empty_database, rows, value
from kindred.errors import Misconfigured, SchemaOutdated
from kindred.history import partitions, privileges
from kindred.history.connection import Database
from kindred.history.log import opened_log
from kindred.history.migrate import check_version, migrate
from kindred.history.tables import metadata
from kindred.settings import PostgresSettings, Settings
from running import film, interaction, reached_at
from servers.roles import Roles, make_schema

NOW = datetime.now(UTC)
IN_MONTH = "SELECT c.relname, c.relowner::regrole::text FROM pg_class c WHERE c.relname ~ '^interaction_2'"

FORBIDDEN_TO_ALL = [
    "DROP TABLE dead_letter",
    "ALTER TABLE app_user ADD COLUMN own text",
    "TRUNCATE interaction",
    "CREATE TABLE mine (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "UPDATE interaction SET item = 0",
    "UPDATE lineage SET erasure_key = ''",
    "DELETE FROM erasure",
    "UPDATE erasure SET user_hash = ''",
    "DELETE FROM item",
    "UPDATE alembic_version SET version_num = ''",
    "SELECT setval('revision', 1)",
    "UPDATE dead_letter SET value = NULL",
    "ALTER FUNCTION make_log_partition SET search_path = public",
]
FORBIDDEN_TO_A_READER = [
    "INSERT INTO app_user (user_id) VALUES ('ann')",
    "DELETE FROM dead_letter",
    "UPDATE model SET state = 'retired'",
    "SELECT nextval('revision')",
    "SELECT erasure_key FROM lineage",
    "SELECT make_log_partition(now())",
    "SELECT * FROM drop_expired_log_partitions()",
]


@pytest.fixture(scope="module")
def superuser(postgres_url: str) -> Iterator[Database]:
    with empty_database(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def roles(superuser: Database, postgres_url: str) -> Roles:
    return make_schema(PostgresSettings(url=postgres_url), superuser.schema)


@pytest.fixture
def worker(superuser: Database, roles: Roles, postgres_url: str) -> Iterator[Database]:
    with closing(named(roles.url(postgres_url, "worker"), superuser.schema)) as database:
        yield database


@pytest.fixture
def reader(superuser: Database, roles: Roles, postgres_url: str) -> Iterator[Database]:
    with closing(named(roles.url(postgres_url, "reader"), superuser.schema)) as database:
        yield database


@pytest.fixture
def owner(superuser: Database, roles: Roles, postgres_url: str) -> Iterator[Database]:
    with closing(named(roles.url(postgres_url, "owner"), superuser.schema)) as database:
        yield database


def named(url: str, schema: str) -> Database:
    return Database(PostgresSettings(url=url), schema)


def execute(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("statement", FORBIDDEN_TO_ALL)
def test_a_worker_can_neither_change_the_schema_nor_rewrite_the_past(
    worker: Database, reader: Database, statement: str
) -> None:
    for database in (worker, reader):
        with pytest.raises(Misconfigured, match="denies access"):
            execute(database, statement)


@pytest.mark.parametrize("statement", FORBIDDEN_TO_A_READER)
def test_a_reader_changes_nothing(reader: Database, statement: str) -> None:
    with pytest.raises(Misconfigured, match="denies access"):
        execute(reader, statement)


def test_every_table_has_a_decision() -> None:
    undecided = {"alembic_version", "interaction_default"}
    assert set(privileges.WORKER.tables) - undecided == set(metadata.tables)
    assert set(privileges.READER.tables) | {"interaction_default"} == set(privileges.WORKER.tables)


def test_a_worker_makes_and_drops_partitions_that_it_does_not_own(worker: Database, roles: Roles) -> None:
    made = partitions.make_ahead(worker, NOW)
    assert len(made) == partitions.MONTHS_AHEAD + 1
    assert set(rows(worker, IN_MONTH)) >= {(name, roles.name("owner")) for name in made}
    with pytest.raises(Misconfigured, match="denies access"):
        execute(worker, f"DROP TABLE {made[0]}")
    assert made[0] in partitions.expire(worker, NOW + timedelta(days=40), retention_days=1)
    assert made[0] not in dict(rows(worker, IN_MONTH))


def test_what_has_not_expired_cannot_be_dropped(worker: Database, superuser: Database) -> None:
    """Not even through a temporary table that stands in the way of ours."""
    execute(superuser, "UPDATE lineage SET retention_floor = '-infinity'")
    partitions.make_ahead(worker, NOW)
    before = rows(superuser, IN_MONTH)
    with worker.transaction() as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE lineage AS SELECT 'infinity'::timestamptz AS retention_floor"
        )
        connection.execute("SET LOCAL search_path = pg_temp")
        dropped = f"SELECT * FROM {superuser.schema}.drop_expired_log_partitions()"
        assert connection.execute(dropped).fetchall() == []
    assert rows(superuser, IN_MONTH) == before


@pytest.mark.parametrize("wanted", ["1000-01-01", "9000-01-01", "infinity"])
def test_partitions_are_made_of_this_age_only(worker: Database, wanted: str) -> None:
    with pytest.raises(Exception, match="decades away"):
        execute(worker, f"SELECT make_log_partition('{wanted}')")


def test_migrating_again_takes_back_what_nobody_declared(
    superuser: Database, owner: Database, worker: Database, roles: Roles
) -> None:
    worker_name = roles.name("worker")
    execute(superuser, f"GRANT TRUNCATE ON interaction TO {worker_name}")
    execute(superuser, f"GRANT UPDATE (erasure_key) ON lineage TO {worker_name}")
    privileges.grant(owner, {worker_name: privileges.WORKER})
    truncates = "SELECT has_table_privilege(%s, 'interaction', 'TRUNCATE')"
    sets_key = "SELECT has_column_privilege(%s, 'lineage', 'erasure_key', 'UPDATE')"
    assert not value(superuser, truncates, worker_name)
    assert not value(superuser, sets_key, worker_name)
    privileges.check_worker(worker)


def test_a_worker_that_was_granted_too_little_says_what_and_how_to_mend_it(
    worker: Database, superuser: Database, owner: Database, roles: Roles
) -> None:
    privileges.check_worker(worker)
    execute(superuser, f"REVOKE DELETE ON pending_sync FROM {roles.name('worker')}")
    with pytest.raises(
        Misconfigured, match=r"may not DELETE in table pending_sync.*kindred migrate.*WORKER_ROLE"
    ):
        privileges.check_worker(worker)
    privileges.grant(owner, privileges.named(roles.name("worker"), None))
    privileges.check_worker(worker)


def test_roles_that_cannot_be_are_refused(owner: Database, superuser: Database, roles: Roles) -> None:
    with pytest.raises(Misconfigured, match=r"no role 'nobody'.*kindred roles"):
        privileges.check_roles(owner, ["nobody"])
    for database in (owner, superuser):
        with pytest.raises(Misconfigured, match="Nothing can be kept from"):
            privileges.check_roles(database, [roles.name("owner")])


def test_a_schema_that_is_closed_to_a_user_says_so(
    superuser: Database, roles: Roles, postgres_url: str
) -> None:
    with empty_database(postgres_url) as other:
        migrate(other)
        with (
            closing(named(roles.url(postgres_url, "worker"), other.schema)) as stranger,
            pytest.raises(SchemaOutdated, match="closed to this user"),
        ):
            check_version(stranger)


@pytest.fixture
def administrator(postgres_url: str) -> Iterator[str]:
    """As a managed Postgres has it: may create roles and schemas, but is no superuser. Its URL."""
    name, password = f"admin_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{password}'")
        connection.execute(f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {name}")
        connection.execute(f"GRANT CONNECT ON DATABASE {connection.info.dbname} TO {name} WITH GRANT OPTION")
        yield Roles("admin", password, "").url(postgres_url, "owner").replace("admin_owner", name)
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_an_administrator_who_is_no_superuser_can_set_up(administrator: str, postgres_url: str) -> None:
    prefix = f'odd "{secrets.token_hex(3)}'
    names = [f"{prefix} {role}'s" for role in ("schema", "owner", "worker", "reader")]
    with psycopg.connect(administrator, autocommit=True) as connection:
        for _ in range(2):
            connection.execute(privileges.setup(*names))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        query = (
            "SELECT r.rolname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE nspname = %s"
        )
        assert connection.execute(query, [names[0]]).fetchone() == (names[1],)
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(names[0])))
        for name in map(sql.Identifier, names[1:]):
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
    with psycopg.connect(administrator, autocommit=True) as connection:
        for name in map(sql.Identifier, names[1:]):
            connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(
                    sql.Identifier(connection.info.dbname), name
                )
            )
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


def test_an_installation_of_one_user_is_handed_over(postgres_url: str) -> None:
    with empty_database(postgres_url) as alone:
        migrate(alone)
        partitions.make_ahead(alone, NOW)
        roles = make_schema(PostgresSettings(url=postgres_url), alone.schema)
        owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = %s::regnamespace"
        assert rows(alone, owners, alone.schema) == [(roles.name("owner"),)]
        with closing(named(roles.url(postgres_url, "worker"), alone.schema)) as worker:
            privileges.check_worker(worker)
            assert partitions.make_ahead(worker, NOW + timedelta(days=40)) != []


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        yield here


def as_reader(settings: Settings) -> Settings:
    return reached_at(settings, settings.postgres.url.replace("_worker:", "_reader:"))


def test_commands_that_only_look_work_for_a_reader(here: Chain) -> None:
    here.sync(
        here.record("items", "1", film("1")),
        here.record("interactions", "ann", interaction("ann", "1", 1)),
        here.record("interactions", "bob", NO_EVENT),
    )
    looking = as_reader(here.settings)
    assert kindred(looking, "history", "ann")["history_length"] == 1
    (letter,) = kindred(looking, "dead-letters", "list")["letters"]
    assert kindred(looking, "dead-letters", "show", str(letter["id"]))["value"] == {"text": "{"}
    assert kindred(looking, "verify")["faults"] == []
    with closing(Database(looking.postgres, looking.schema_name)) as database, opened_log(database) as log:
        assert [user.user_id for user in log.users()] == ["ann"]  # what training reads
        assert sum(len(block.items) for block in log.interactions()) == len([*log.items()]) == 1
    with pytest.raises(Misconfigured, match="denies access"):
        kindred(looking, "dead-letters", "purge", "--all", "--yes")
    with pytest.raises(Misconfigured, match="may not DELETE in table app_user"):
        kindred(looking, "erase", "ann", "--yes")
