"""Puts a worker together from its settings, and runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import structlog
from qdrant_client import QdrantClient

from kindred import declaration as declarations
from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.fleet import Fleet
from kindred.errors import ModelMismatch
from kindred.events.breaker import Breaker
from kindred.events.schema import Contract
from kindred.events.source import Source
from kindred.health import Health, served
from kindred.history import privileges
from kindred.history.connection import Database
from kindred.history.migrate import check_version
from kindred.history.store import HistoryStore
from kindred.mailbox import Mailbox
from kindred.operations import models
from kindred.operations.housekeeping import Housekeeping
from kindred.operations.kept_history import shortfall
from kindred.operations.lineage import Lineage, check_lineage
from kindred.settings import Settings
from kindred.steps import Parts, WorkerSteps
from kindred.sync import Syncer
from kindred.tripped import Tripped
from kindred.vectors.aliases import live_model
from kindred.vectors.connection import connect
from kindred.vectors.index import Index
from kindred.vectors.names import CollectionNames
from kindred.vectors.seen import SeenItems
from kindred.worker import Worker

log = structlog.get_logger()

START_TIMEOUT_SECONDS = 8.0
MAILBOX_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Servers:
    """Connections that a command or a worker needs; `opened` closes them."""

    settings: Settings
    declaration: Declaration
    database: Database
    qdrant: QdrantClient
    names: CollectionNames


@contextmanager
def opened(settings: Settings, application: str = "kindred") -> Iterator[Servers]:
    """Connect to Postgres and Qdrant. Raises Misconfigured for a wrong address or password, when used."""
    declaration = declarations.load(settings.declaration)
    database = Database(settings.postgres, settings.schema_name, application=application)
    qdrant = connect(settings.qdrant)
    try:
        yield Servers(settings, declaration, database, qdrant, CollectionNames(settings.namespace))
    finally:
        qdrant.close()
        database.close()


def contract(settings: Settings, declaration: Declaration) -> Contract:
    """What decode must know of this deployment."""
    return Contract(
        interactions_topic=settings.topic(settings.kafka.interactions_topic),
        users_topic=settings.topic(settings.kafka.users_topic),
        items_topic=settings.topic(settings.kafka.items_topic),
        event_types=frozenset(declaration.events),
        max_skew_us=int(settings.worker.max_skew_seconds * 1e6),
    )


def history_store(servers: Servers) -> HistoryStore:
    """The writer of histories. Raises SchemaOutdated before `kindred migrate` has run, or Misconfigured."""
    check_version(servers.database)
    privileges.check_worker(servers.database)
    worker = servers.settings.worker
    return HistoryStore(
        servers.database,
        servers.declaration,
        history_limit=servers.settings.postgres.history_limit,
        popularity_half_life_days=worker.popularity_half_life_days,
        reopen_skew_us=int(worker.max_skew_seconds * 1e6) if worker.reopen_on_interaction else None,
    )


def breaker(settings: Settings) -> Breaker:
    """One for a worker."""
    worker = settings.worker
    return Breaker(worker.breaker_window_records, worker.breaker_max_share, worker.breaker_min_records)


def syncer(servers: Servers, history: HistoryStore, fleet: Fleet, breaker_: Breaker | None = None) -> Syncer:
    """The three steps on these servers, with every known item loaded."""
    seen = SeenItems(servers.declaration.seen_types)
    known = history.load_catalogue()
    fleet.update_items(known)
    seen.update_items(known)
    worker = servers.settings.worker
    decodes_by = contract(servers.settings, servers.declaration)
    return Syncer(
        msgspec.structs.replace(decodes_by, floor_us=history.floor_us()),
        breaker_ or breaker(servers.settings),
        history,
        fleet,
        Index(servers.qdrant, servers.names, servers.declaration),
        seen,
        max_batch_age_seconds=worker.max_batch_age_seconds,
    )


def install(servers: Servers) -> Fleet:
    """Load the configured model, install it where there is none, and check what is there (rule 27)."""
    settings = servers.settings
    fleet = Fleet(dtype=settings.worker.dtype, threads=settings.worker.threads)
    embedder = _embedder(settings)
    if says := shortfall(embedder.max_length, settings):
        log.warning("history_too_short", model=embedder.name, reason=f"the model {says}")
    _reach_qdrant(servers)
    models.install_first(
        servers.database, servers.qdrant, servers.names, embedder, settings.checkpoint,
        servers.declaration, settings.qdrant,
    )  # fmt: skip
    fleet.add(embedder)
    index = Index(servers.qdrant, servers.names, servers.declaration)
    check_lineage(servers.database, index)
    return fleet


def _embedder(settings: Settings) -> Embedder:
    if not settings.checkpoint.is_dir():
        raise ModelMismatch(
            f"There is no model at {settings.checkpoint}: train one with `kindred train`, or point "
            "KINDRED_CHECKPOINT at its directory."
        )
    worker = settings.worker
    return Embedder.load(settings.checkpoint, dtype=worker.dtype, threads=worker.threads)


def _reach_qdrant(servers: Servers) -> None:
    """Raises Outage. A silent server must not hold up a start for as long as it may hold up a batch."""
    qdrant = servers.settings.qdrant
    hasty = min(qdrant.timeout_seconds, START_TIMEOUT_SECONDS)
    client = connect(qdrant.model_copy(update={"timeout_seconds": hasty}))
    try:
        live_model(client, servers.names)
    finally:
        client.close()


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set. Raises a KindredError that says what a person must change."""
    health = Health()
    with (
        opened(settings, "kindred-worker") as servers,
        served(health, settings.worker.http_host, settings.worker.http_port),
    ):
        parts = _parts(servers, health)
        steps = WorkerSteps(parts, settings.worker.batch_size)
        worker = Worker(parts.source, parts.mailbox, parts.tripped, steps, health)
        index = Index(servers.qdrant, servers.names, servers.declaration)
        housekeeping = Housekeeping(servers.database, index, settings, health)
        ended = threading.Event()
        thread = threading.Thread(target=housekeeping.run, args=(ended,), name="housekeeping", daemon=True)
        thread.start()
        try:
            worker.run(stop)
        finally:
            ended.set()
            thread.join(timeout=0.5)


def _parts(servers: Servers, health: Health) -> Parts:
    """Everything that a worker's steps need, in the order in which a fault is best told."""
    settings = servers.settings
    history, breaker_ = history_store(servers), breaker(settings)
    fleet = install(servers)
    index = Index(servers.qdrant, servers.names, servers.declaration)
    steps = syncer(servers, history, fleet, breaker_)
    batch_size = settings.worker.batch_size
    source, mailbox = _source(settings), Mailbox(batch_size, full_at=MAILBOX_BATCHES * batch_size)
    return Parts(
        source=source,
        mailbox=mailbox,
        tripped=Tripped(source, mailbox, health),
        breaker=breaker_,
        syncer=steps,
        history=history,
        database=servers.database,
        models=models.Models(servers.database, fleet),
        lineage=Lineage(servers.database, index),
    )


def _source(settings: Settings) -> Source:
    kafka = settings.kafka
    topics = [
        settings.topic(name) for name in (kafka.interactions_topic, kafka.users_topic, kafka.items_topic)
    ]
    return Source(kafka, topics, settings.topic(kafka.group_id), settings.worker.batch_size)
