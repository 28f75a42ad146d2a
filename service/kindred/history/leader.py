"""One worker of all: whoever holds a session's advisory lock."""

from __future__ import annotations

from types import TracebackType

import psycopg

from kindred.errors import Outage
from kindred.history import locks
from kindred.history.connection import Connection, Database


class Leadership:
    """Holds the lock for as long as its connection lives; two never hold it at once.

    With `idle_timeout_seconds` Postgres ends a connection by which nobody asked for so long: the machine of
    a frozen process still acknowledges keep-alives, and nobody else would lead.
    """

    def __init__(self, database: Database, idle_timeout_seconds: float = 0.0) -> None:
        self._database, self._idle_timeout_ms = database, int(1_000 * idle_timeout_seconds)
        self._connection: Connection | None = None
        self._leads = False

    def held(self) -> bool:
        """Whether this worker leads; takes the lock where it is free. Raises Outage."""
        try:
            if self._connection is None:
                self._connection = self._database.dedicated()
                self._connection.execute(f"SET idle_session_timeout = {self._idle_timeout_ms}")
                return self._try()
            self._connection.execute("SELECT 1")
            return self._leads or self._try()
        except psycopg.Error as error:
            self._close()
            raise Outage("postgres", " ".join(str(error).split())) from error

    def _try(self) -> bool:
        assert self._connection is not None
        row = self._connection.execute(f"SELECT pg_try_advisory_lock({locks.LEADER})").fetchone()
        self._leads = bool(row and row[0])
        return self._leads

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._leads = False

    def __enter__(self) -> Leadership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
