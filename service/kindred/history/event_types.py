"""Small numbers for the names of event types, the same in every worker."""

from __future__ import annotations

from kindred.declaration import Declaration
from kindred.history import locks
from kindred.history.connection import Connection, Database

# One after another: who then reads a number has also read all lower ones.
LOCK = f"SELECT pg_advisory_xact_lock({locks.EVENT_TYPES})"
REGISTER = """
INSERT INTO event_type (name)
SELECT name FROM unnest(%(names)s::text[]) AS declared (name)
WHERE NOT EXISTS (SELECT FROM event_type e WHERE e.name = declared.name)
ORDER BY name COLLATE "C"
ON CONFLICT DO NOTHING
"""
READ = "SELECT name, number FROM event_type"


class EventTypes:
    """Declared types are registered at start; types of other workers are read when they appear."""

    def __init__(self, database: Database, declaration: Declaration) -> None:
        with database.transaction() as connection:
            connection.execute(LOCK)
            connection.execute(REGISTER, {"names": sorted(declaration.events)})
            self._read(connection)
        self.popular_numbers = [self.numbers[name] for name in sorted(declaration.positive_types)]

    def names(self, connection: Connection, highest: int) -> list[str]:
        """Name by number, at least up to `highest`; numbers nobody uses are empty names."""
        if highest >= len(self._names):
            self._read(connection)
        return self._names

    def _read(self, connection: Connection) -> None:
        self.numbers, self._names = read(connection)


def read(connection: Connection) -> tuple[dict[str, int], list[str]]:
    """Numbers by name, and names by number; numbers nobody uses are empty names."""
    numbers: dict[str, int] = dict(connection.execute(READ).fetchall())
    names = [""] * (max(numbers.values(), default=0) + 1)
    for name, number in numbers.items():
        names[number] = name
    return numbers, names
