"""Migrations: what they build, how often and from where they may run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from histories import empty_database, migrated_database, rows, value
from kindred.errors import SchemaOutdated
from kindred.history import partitions
from kindred.history.connection import Database
from kindred.history.migrate import check_version, head, migrate
from kindred.history.tables import metadata

ROOT = Path(__file__).parents[2]

# What Postgres itself says of a schema, each fact as a row of text.
CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               coll.collname, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_collation coll ON coll.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
    """,
    "tables": """
        SELECT c.relname, c.relkind, pg_get_partkeydef(c.oid), c.reloptions, obj_description(c.oid)
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    """,
    "constraints": """
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.connamespace = current_schema()::regnamespace
    """,
    "indexes": """
        SELECT tablename, indexname, replace(indexdef, current_schema() || '.', '')
        FROM pg_indexes WHERE schemaname = current_schema()
    """,
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by, max_value, cycle, cache_size
        FROM pg_sequences WHERE schemaname = current_schema()
    """,
}
NOT_DECLARED = {"alembic_version", "interaction_default"}


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with empty_database(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def migrated(postgres_url: str) -> Iterator[Database]:
    with migrated_database(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def declared(postgres_url: str) -> Iterator[Database]:
    with empty_database(postgres_url) as database:
        database.create_schema()
        with database.engine_connection() as connection:
            metadata.create_all(connection)
        yield database


def facts(database: Database, kind: str) -> set[tuple[Any, ...]]:
    found = rows(database, CATALOGUE[kind])
    return {tuple(map(str, row)) for row in found if row[0] not in NOT_DECLARED}


@pytest.mark.parametrize("kind", CATALOGUE)
def test_the_migrated_schema_is_the_declared_one(migrated: Database, declared: Database, kind: str) -> None:
    assert facts(migrated, kind) == facts(declared, kind)
    assert facts(declared, kind)


def test_alembic_sees_nothing_left_to_migrate(migrated: Database) -> None:
    def is_declared(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name not in NOT_DECLARED

    options = {"compare_type": True, "compare_server_default": True, "include_name": is_declared}
    with migrated.engine_connection() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_keys_sort_by_bytes_whatever_the_locale_of_the_server(migrated: Database) -> None:
    query = """
        SELECT c.relname, a.attname FROM pg_index x
        JOIN pg_class c ON c.oid = x.indrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
        JOIN pg_collation coll ON coll.oid = a.attcollation
        WHERE c.relnamespace = current_schema()::regnamespace AND coll.collname <> 'C'
    """
    # Letters and kinds are compared for equality only.
    ordered = {row for row in rows(migrated, query) if row[0] not in {"dead_letter", "alembic_version"}}
    assert ordered == {("model", "state"), ("pending_sync", "kind")}


def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert migrate(database) == (None, head())
    key = value(database, "SELECT erasure_key FROM lineage")
    assert migrate(database) == (head(), head())
    assert value(database, "SELECT erasure_key FROM lineage") == key


def test_several_may_migrate_at_once(postgres_url: str) -> None:
    for _ in range(3):
        with empty_database(postgres_url) as database, ThreadPoolExecutor(4) as pool:
            now = datetime.now(UTC)

            def everything(_: int, database: Database = database, now: datetime = now) -> None:
                migrate(database)
                partitions.make_ahead(database, now)

            list(pool.map(everything, range(4)))
            assert value(database, "SELECT count(*) FROM lineage") == 1
            check_version(database)


def test_a_schema_that_is_not_there_says_what_to_run(database: Database) -> None:
    with pytest.raises(SchemaOutdated, match=r"is not there.* Run `kindred migrate`"):
        check_version(database)


def test_a_schema_of_another_version_says_what_to_run(database: Database) -> None:
    migrate(database)
    with database.transaction() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000_older'")
    with pytest.raises(SchemaOutdated, match=f"is at 0000_older; needed is {head()}"):
        check_version(database)


def test_a_migration_leaves_the_session_timeouts_as_they_were(database: Database) -> None:
    migrate(database)
    assert value(database, "SELECT current_setting('lock_timeout')") == "10s"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree and unpacked where no repository is."""
    wheels, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels), folder=ROOT)
    (wheel,) = wheels.glob("kindred-*.whl")
    _python(
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
        folder=wheels,
    )
    return target


def test_the_installed_wheel_brings_its_migrations(
    installed: Path, database: Database, postgres_url: str
) -> None:
    environment = {
        "PYTHONPATH": str(installed),
        "KINDRED_POSTGRES__URL": postgres_url,
        "KINDRED_POSTGRES__SCHEMA_NAME": database.schema,
    }
    where = _python("-c", "import kindred; print(kindred.__file__)", folder=installed, **environment)
    assert Path(where.strip()).is_relative_to(installed)
    _python("-m", "kindred.cli", "migrate", folder=installed, **environment)
    check_version(database)
    assert list((installed / "kindred" / "migrations" / "versions").glob("0001_*.py"))
    assert "CREATE ROLE" in _python("-m", "kindred.cli", "roles", folder=installed, **environment)


def _python(*arguments: str, folder: Path, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout
