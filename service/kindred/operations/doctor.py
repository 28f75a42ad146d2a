"""`kindred doctor`: looks at everything a worker needs, and says what to do about what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from qdrant_client import QdrantClient

from kindred import declaration as declarations
from kindred.embedding.checkpoint import read_manifest
from kindred.errors import KindredError
from kindred.events.group import read_group
from kindred.events.topics import list_topics, missing_topics, short_lived_tombstones
from kindred.history import models as model_rows
from kindred.history import offsets, sweeps, trips
from kindred.history.connection import Database
from kindred.history.migrate import check_version, head
from kindred.operations import encryption
from kindred.operations.kept_history import shortfall
from kindred.operations.lineage import check_lineage, check_offsets
from kindred.settings import Settings
from kindred.vectors.aliases import live_model
from kindred.vectors.connection import connect
from kindred.vectors.index import Index
from kindred.vectors.names import CollectionNames

Check = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "warning", "wrong"]
    says: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Warn(Exception):
    """Not wrong, but worth a look."""


def examine(settings: Settings) -> list[Finding]:
    """All checks, in the order in which a fault explains the ones after it. Never raises a KindredError."""
    doctor = _Doctor(settings)
    try:
        return [_find(subject, check) for subject, check in doctor.checks()]
    finally:
        doctor.close()


def _find(subject: str, check: Check) -> Finding:
    try:
        return Finding(subject, "ok", check())
    except Warn as warning:
        return Finding(subject, "warning", str(warning))
    except KindredError as error:
        return Finding(subject, "wrong", str(error))


def _judged(said: encryption.Said) -> str:
    is_fine, says = said
    if not is_fine:
        raise Warn(says)
    return says


class _Doctor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = CollectionNames(settings.namespace)
        self._opened = ExitStack()

    def close(self) -> None:
        self._opened.close()

    # Made when first asked for: an address that is none is a finding, too.

    @cached_property
    def _database(self) -> Database:
        settings = self._settings
        database = Database(settings.postgres, settings.schema_name, application="kindred-doctor")
        self._opened.callback(database.close)
        return database

    @cached_property
    def _qdrant(self) -> QdrantClient:
        client = connect(self._settings.qdrant)
        self._opened.callback(client.close)
        return client

    def checks(self) -> Iterator[tuple[str, Check]]:
        yield "declaration", self._declaration
        yield "kafka", self._topics
        yield "kafka tombstones", self._tombstones
        yield "kafka encryption", lambda: _judged(encryption.of_kafka(self._settings))
        yield "postgres schema", self._schema
        yield "postgres encryption", lambda: _judged(encryption.of_postgres(self._settings, self._database))
        yield "checkpoint", self._checkpoint
        yield "qdrant", self._collections
        yield "qdrant encryption", lambda: _judged(encryption.of_qdrant(self._settings))
        yield "model", self._model
        yield "revisions", self._revisions
        yield "offsets", self._offsets
        yield "paused partitions", self._trips
        yield "pending work", self._pending

    def _declaration(self) -> str:
        declared = declarations.load(self._settings.declaration)
        return f"{len(declared.events)} event types, {len(declared.item)} item features"

    def _topics(self) -> str:
        if missing := missing_topics(self._settings):
            raise Warn(f"missing: {', '.join(missing)}. Create them with `kindred topics create`.")
        found = list_topics(self._settings)
        return ", ".join(f"{name} ({partitions} partitions)" for name, partitions in sorted(found.items()))

    def _tombstones(self) -> str:
        if short := short_lived_tombstones(self._settings):
            raise Warn(
                f"{', '.join(short)}: delete.retention.ms is under a week. A worker that lags longer never "
                "hears of an erasure; raise it (docs/events.md)."
            )
        return "erasures outlive any reasonable lag"

    def _schema(self) -> str:
        check_version(self._database)
        return f"{self._settings.schema_name} is at {head()}"

    def _checkpoint(self) -> str:
        manifest = read_manifest(self._settings.checkpoint)
        if says := shortfall(manifest.max_length, self._settings):
            raise Warn(f"{manifest.name} {says}.")
        return f"{manifest.name} in {self._settings.checkpoint}, {manifest.dimension} dimensions"

    def _collections(self) -> str:
        live = live_model(self._qdrant, self._names)
        if live is None:
            raise Warn("no aliases yet: the first worker makes the collections when it starts.")
        return f"the aliases serve {live}"

    def _model(self) -> str:
        rows = model_rows.read(self._database)
        live = next((row.name for row in rows if row.state == "live"), None)
        if live is None:
            raise Warn("none is installed yet: the first worker does it when it starts.")
        served = live_model(self._qdrant, self._names)
        if served != live:
            raise Warn(f"Postgres says {live} is live, but the aliases serve {served}. Restart a worker.")
        configured = read_manifest(self._settings.checkpoint).name
        if configured not in {row.name for row in rows}:
            raise Warn(f"{live} is live, but KINDRED_CHECKPOINT holds {configured}: workers will not start.")
        return f"{live} is live"

    def _revisions(self) -> str:
        index = Index(self._qdrant, self._names, declarations.load(self._settings.declaration))
        check_lineage(self._database, index)
        return f"Postgres has drawn {model_rows.last_revision(self._database)}, Qdrant holds nothing later"

    def _offsets(self) -> str:
        group = read_group(self._settings)
        check_offsets(offsets.read(self._database), group.committed)
        return f"Postgres holds all that the group {group.name} has committed"

    def _trips(self) -> str:
        if standing := trips.standing(self._database):
            names = ", ".join(f"{trip.topic}[{trip.partition}] ({trip.reason})" for trip in standing)
            raise Warn(f"{names}: mostly poison. docs/operations.md says how to decide.")
        return "none"

    def _pending(self) -> str:
        waiting = sweeps.pending_count(self._database)
        return f"{waiting} users and items wait to be written again" if waiting else "nothing waits"
