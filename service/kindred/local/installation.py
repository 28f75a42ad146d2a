"""An empty installation on servers that have just started: the three topics and the schema."""

from __future__ import annotations

from datetime import UTC, datetime

from kindred.composition import opened
from kindred.events.topics import create_topics
from kindred.history import migrate, partitions
from kindred.settings import Settings


def install(settings: Settings) -> None:
    """What `kindred topics create` and `kindred migrate` do. Raises Misconfigured, Outage."""
    create_topics(settings)
    with opened(settings, "kindred-local") as servers:
        migrate.migrate(servers.database)
        partitions.make_ahead(servers.database, datetime.now(UTC))
