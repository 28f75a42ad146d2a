"""Connections to Postgres, and what each of its errors means."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.types.json import set_json_loads
from sqlalchemy.exc import DBAPIError

from kindred.errors import KindredError, Misconfigured, Outage, RefusedByPostgres, SchemaOutdated
from kindred.history import locks
from kindred.history.address import address, certificates, meaning_of_connect_failure
from kindred.history.punctual import PunctualConnection, patience
from kindred.settings import PostgresSettings

Connection = psycopg.Connection[Any]

# SQLSTATE classes (PostgreSQL documentation, appendix A).
# 25006: after a failover, a server that is still read-only. 25P03 and 25P04: this process was stopped for so
# long that Postgres ended its transaction. 54: a value over a limit of Postgres, such as an index row's size.
# XX: an error within Postgres, which nothing here can mend: wait until somebody has.
TRANSIENT = ("08", "25006", "25P03", "25P04", "40", "53", "55P03", "57", "58", "XX")
BUSY = ("40", "53", "55P03", "57014")  # a deadlock, a full disk, a lock or an answer that took too long
REFUSED = ("22", "23", "54")
UNMIGRATED = ("3F000", "42P01", "42703")
DENIED = ("28", "3D000", "42501")


class Database:
    """A pool of connections whose search path is one schema. Owns the pool; close it."""

    def __init__(self, settings: PostgresSettings, schema: str, *, application: str = "kindred") -> None:
        self.schema = schema
        self.connects = 0  # another number whenever a connection was made, perhaps to another server
        self._counting = itertools.count(1)
        self._engine = sa.create_engine(
            address(settings),
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args=_connect_args(settings, schema, application) | certificates(settings),
            hide_parameters=True,  # else an error's text would hold what users did
        )
        patience_seconds = patience(settings.statement_timeout_seconds)
        sa.event.listen(self._engine, "do_connect", partial(_connect, patience_seconds))
        sa.event.listen(self._engine, "connect", _decode_json_fast)
        sa.event.listen(self._engine, "connect", self._count)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error.

        Raises Outage, RefusedByPostgres, SchemaOutdated or Misconfigured in place of psycopg's errors.
        """
        with _translated(), self._engine.begin() as connection:
            driver: Connection = connection.connection.driver_connection  # type: ignore[assignment]
            yield driver

    @contextmanager
    def engine_connection(self) -> Iterator[sa.Connection]:
        """For Alembic, which wants SQLAlchemy's connection; in one transaction."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    def dedicated(self) -> Connection:
        """A connection of its own, outside the pool and in autocommit; the caller closes it."""
        with _translated():
            pooled = self._engine.raw_connection()
            connection: Connection = pooled.driver_connection  # type: ignore[assignment]
            pooled.detach()
            connection.autocommit = True
            return connection

    def _count(self, *_: object) -> None:
        self.connects = next(self._counting)

    def create_schema(self) -> None:
        """Unless it is there: a user who may not create schemas can be given one."""
        with self.transaction() as connection:
            connection.execute(f"SELECT pg_advisory_xact_lock({locks.SCHEMA}, hashtext(%s))", [self.schema])
            there = connection.execute(
                "SELECT FROM pg_namespace WHERE nspname = %s", [self.schema]
            ).fetchone()
            if there is None:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))


def _connect(
    patience_seconds: float | None, _: object, __: object, arguments: Any, options: Any
) -> PunctualConnection:
    connection: PunctualConnection = PunctualConnection.connect(*arguments, **options)
    connection.patience_seconds = patience_seconds
    return connection


def _decode_json_fast(connection: Connection, _: object) -> None:
    # Every user of a batch has a profile; the standard library takes four times as long.
    set_json_loads(msgspec.json.decode, connection)


def _connect_args(settings: PostgresSettings, schema: str, application: str) -> dict[str, Any]:
    # A stopped or unplugged worker must not hold row locks for ever (rule 8).
    session = {
        "search_path": f'"{schema}"',
        "default_transaction_isolation": "read\\ committed",  # what rule 3 counts on
        "statement_timeout": int(settings.statement_timeout_seconds * 1000),
        "lock_timeout": int(settings.lock_timeout_seconds * 1000),
        "idle_in_transaction_session_timeout": 10_000,
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 2,
        "tcp_keepalives_count": 3,
        # Stopped while a result was on its way, a worker holds its locks with a connection that looks alive.
        "tcp_user_timeout": 15_000,
        "timezone": "UTC",
    }
    return {
        "connect_timeout": 5,
        "client_encoding": "UTF8",  # columns.py sends UTF-8
        "application_name": application,
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _meaning(_first(error.orig)) from error
    except (psycopg.Error, UnicodeEncodeError) as error:
        raise _meaning(_first(error)) from error


def _first(error: BaseException | None) -> BaseException | None:
    """The first of a chain: after it, whatever is tidied up on a closed connection fails too."""
    while error is not None and isinstance(error.__context__, psycopg.OperationalError):
        error = error.__context__
    return error


def _meaning(error: BaseException | None) -> Exception:
    """The error of ours that says what to do; the error itself where nobody knows."""
    if isinstance(error, UnicodeEncodeError):
        return RefusedByPostgres(f"text that UTF-8 cannot carry: {error.reason}")
    state = getattr(error, "sqlstate", None) or ""
    reason = " ".join(str(error).split())  # libpq tells of each address it tried on a line of its own
    if state:
        return _meaning_of_state(state, reason) or _unknown(error)
    if isinstance(error, psycopg.OperationalError):
        return meaning_of_connect_failure(reason)
    if isinstance(error, psycopg.DataError):  # refused by the driver before it was sent, such as NUL
        return RefusedByPostgres(reason)
    return _unknown(error)


def _meaning_of_state(state: str, reason: str) -> KindredError | None:
    if state.startswith(TRANSIENT):
        return Outage("postgres", reason, is_busy=state.startswith(BUSY))
    if state.startswith(REFUSED):
        return RefusedByPostgres(reason)
    if state.startswith(UNMIGRATED):
        return SchemaOutdated(f"The database schema is missing or old ({reason}). Run `kindred migrate`.")
    if state.startswith(DENIED):
        return Misconfigured(
            f"Postgres denies access: {reason}. Check KINDRED_POSTGRES__URL and its user; docs/operations.md "
            "says which role each command needs."
        )
    return None


def _unknown(error: BaseException | None) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))
