"""One worker of all: whoever holds a session's advisory lock."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

import psycopg

from kindred.errors import Outage
from kindred.history import locks
from kindred.history.connection import Connection, Database

SPEAKS_UP_TIMES = 6  # within the idle timeout


class Leadership:
    """Holds the lock for as long as its connection lives; two never hold it at once.

    With `idle_timeout_seconds` Postgres ends the connection of a process that was frozen for so long: its
    machine still acknowledges keep-alives, and nobody else would lead. A thread speaks up meanwhile.
    """

    def __init__(self, database: Database, idle_timeout_seconds: float = 0.0) -> None:
        self._database, self._idle_timeout_ms = database, int(1_000 * idle_timeout_seconds)
        self._connection: Connection | None = None
        self._leads = False
        self._ended = threading.Event()
        self._speaking = threading.Thread(target=self._speak_up, name="leadership", daemon=True)

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

    def _speak_up(self) -> None:
        """However long a task takes: a process that is frozen freezes this as well."""
        while not self._ended.wait(self._idle_timeout_ms / 1_000 / SPEAKS_UP_TIMES):
            if (connection := self._connection) is not None:
                with suppress(psycopg.Error):  # `held` will hear of it
                    connection.execute("SELECT 1")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._leads = False

    def __enter__(self) -> Leadership:
        if self._idle_timeout_ms:
            self._speaking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._close()
