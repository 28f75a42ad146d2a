"""A connection to Postgres that does not wait for ever.

Postgres ends a statement that takes too long, but a server that is frozen, or behind a network that
swallows bytes, ends nothing: libpq would wait for its answer for as long as the connection stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

# After its statement_timeout a server that can still answer says so.
GRACE_SECONDS = 2.0

T = TypeVar("T")


class PunctualConnection(psycopg.Connection[Any]):
    """Closes itself, with an OperationalError, when an answer takes longer than `patience_seconds`."""

    patience_seconds: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's, which every query, copy, commit and rollback goes through."""
        patience_seconds = timeout or self.patience_seconds
        began = time.monotonic()
        try:
            return super().wait(gen, interval, patience_seconds)
        except psycopg.OperationalError:
            if patience_seconds is None or time.monotonic() - began < patience_seconds:
                raise
        self.pgconn.finish()  # an answer that comes later would be taken for that to another question
        raise psycopg.OperationalError(f"no answer within {patience_seconds:g} s")


def patience(statement_timeout_seconds: float) -> float | None:
    """How long an answer may take; None, for ever, where statements may."""
    return statement_timeout_seconds + GRACE_SECONDS if statement_timeout_seconds else None


@contextmanager
def unhurried(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Statements of this transaction may take so long."""
    assert isinstance(connection, PunctualConnection)
    connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
    before, connection.patience_seconds = connection.patience_seconds, patience(seconds)
    try:
        yield
    finally:
        connection.patience_seconds = before
