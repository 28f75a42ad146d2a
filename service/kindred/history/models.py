"""Rows of the model table."""

from __future__ import annotations

from dataclasses import dataclass

from kindred.history import locks
from kindred.history.connection import Database
from kindred.history.pending import ASK_AGAIN

READ = "SELECT name, state, checkpoint, dimension FROM model WHERE state <> 'retired' ORDER BY created_at"
INSTALL_FIRST = """
INSERT INTO model (name, state, checkpoint, dimension)
SELECT %(name)s, 'live', %(checkpoint)s, %(dimension)s
WHERE NOT EXISTS (SELECT FROM model)
RETURNING name
"""
REQUEST_EVERYTHING = f"""
INSERT INTO pending_sync (kind, id)
SELECT 'user', user_id FROM app_user UNION ALL SELECT 'item', item_id FROM item
{ASK_AGAIN}
"""
LAST_REVISION = """
SELECT epoch << 40 | CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM lineage, revision s
"""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model that is written. `state`: candidate, live or previous."""

    name: str
    state: str
    checkpoint: str
    dimension: int


def read(database: Database) -> list[ModelRow]:
    """All models that are not retired, oldest first."""
    with database.transaction() as connection:
        return [ModelRow(*row) for row in connection.execute(READ)]


def install_first(database: Database, name: str, checkpoint: str, dimension: int) -> bool:
    """Make it live if there is no model at all. Waits until no batch is in its transaction (rule 5)."""
    with database.transaction() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({locks.BATCH})")
        row = {"name": name, "checkpoint": checkpoint, "dimension": dimension}
        installed = connection.execute(INSTALL_FIRST, row).fetchone() is not None
        if installed:
            connection.execute(REQUEST_EVERYTHING)
    return installed


def last_revision(database: Database) -> int:
    """The highest revision that was drawn."""
    with database.transaction() as connection:
        row = connection.execute(LAST_REVISION).fetchone()
    return int(row[0]) if row else 0
