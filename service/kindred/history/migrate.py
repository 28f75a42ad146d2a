"""Alembic, started from wherever the package is installed."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from kindred.errors import SchemaOutdated
from kindred.history import locks
from kindred.history.connection import Connection, Database
from kindred.history.punctual import unhurried
from kindred.history.tables import metadata

LONGEST_SECONDS = 900.0


def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the schema to this version's head; returns (before, after). Safe to run twice or in parallel."""
    database.create_schema()
    with database.engine_connection() as connection, unhurried(_driver(connection), LONGEST_SECONDS):
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({locks.MIGRATION})"))
        # Fail fast rather than queue behind a long query and block every worker behind us.
        connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
        before = _version(connection)
        command.upgrade(_config(connection), "head")
        return before, head()


def head() -> str:
    """The schema version this package was written for."""
    found = ScriptDirectory(str(_directory())).get_current_head()
    if found is None:
        raise FileNotFoundError(f"no migrations in {_directory()}")
    return found


def check_version(database: Database) -> None:
    """Raises SchemaOutdated unless the schema is at this package's version."""
    with database.engine_connection() as connection:
        found = _version(connection)
    if found != head():
        have = f"at {found}" if found else "not there, or closed to this user"
        raise SchemaOutdated(
            f"Schema {database.schema} is {have}; needed is {head()}. Run `kindred migrate`."
        )


def _driver(connection: sa.Connection) -> Connection:
    driver: Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


def _version(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_directory()))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    return config


def _directory() -> Path:
    package = Path(__file__).parents[1]
    shipped = package / "migrations"  # in a wheel
    return shipped if shipped.is_dir() else package.parents[1] / "migrations"
