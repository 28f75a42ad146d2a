"""Whether the connection to Postgres is encrypted, as the connection itself says."""

from __future__ import annotations

from dataclasses import dataclass

from kindred.history.address import address, certificates, target
from kindred.history.connection import Database
from kindred.settings import PostgresSettings


@dataclass(frozen=True, slots=True)
class Encryption:
    """Of one connection. `host` is empty or a folder for a Unix socket."""

    host: str
    is_encrypted: bool
    mode: str  # libpq's sslmode


def look(database: Database, settings: PostgresSettings) -> Encryption:
    """Connect and look. Raises Misconfigured, Outage."""
    mode = target(address(settings), certificates(settings))["sslmode"]
    with database.transaction() as connection:
        return Encryption(connection.info.host, connection.pgconn.ssl_in_use, mode)
