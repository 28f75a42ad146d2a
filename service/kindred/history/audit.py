"""Slices of users and items as Qdrant should show them, and the request to write some again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kindred.history import columns, pending
from kindred.history.connection import Database

Kind = Literal["user", "item"]
Row = tuple[str, int, bool]  # id, revision, whether it is a tombstone

IS_TOMBSTONE = {
    "user": """
        erased_at IS NOT NULL AND (profile_updated_at IS NULL OR profile_updated_at <= erased_at)
        AND last_event_at IS NULL
    """,
    "item": "removed_at IS NOT NULL AND (updated_at IS NULL OR updated_at <= removed_at)",
}
COLUMNS = {
    kind: f"{kind}_id, revision, coalesce({condition}, false)" for kind, condition in IS_TOMBSTONE.items()
}
TABLES = {"user": "app_user", "item": "item"}


def slice_after(database: Database, kind: Kind, after: str, limit: int) -> list[Row]:
    """The next rows by id."""
    statement = f"SELECT {COLUMNS[kind]} FROM {TABLES[kind]} WHERE {kind}_id > %s ORDER BY {kind}_id LIMIT %s"
    with database.transaction() as connection:
        return list(connection.execute(statement, [after, limit]))


def rows(database: Database, kind: Kind, external_ids: Sequence[str]) -> dict[str, Row]:
    """The rows there are of these, by id."""
    statement = f"SELECT {COLUMNS[kind]} FROM {TABLES[kind]} WHERE {kind}_id = ANY(%s::text[])"
    with database.transaction() as connection:
        return {row[0]: row for row in connection.execute(statement, [columns.texts(external_ids)])}


def request(database: Database, kind: Kind, external_ids: Sequence[str]) -> None:
    """Ask workers to write these again, at a revision of their own (rule 26)."""
    with database.transaction() as connection:
        pending.request(connection, kind, external_ids)
