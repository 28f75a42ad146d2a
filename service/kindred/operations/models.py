"""The models of an installation: which there are, and the first one's way in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import QdrantClient

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.fleet import Fleet
from kindred.errors import LostHistory, Misconfigured, ModelMismatch
from kindred.history import models as model_rows
from kindred.history.connection import Database
from kindred.settings import QdrantSettings
from kindred.vectors.aliases import live_model, point_aliases
from kindred.vectors.collections import ensure_collections
from kindred.vectors.index import Index
from kindred.vectors.names import CollectionNames


@dataclass(frozen=True, slots=True)
class Models:
    """Loads what a transaction says must be written. Used by the embedding thread."""

    database: Database
    fleet: Fleet

    def require(self, names: Iterable[str]) -> None:
        """Load the models that appeared since the last batch. Raises ModelMismatch or Outage."""
        missing = set(names) - self.fleet.names
        if not missing:
            return
        for row in model_rows.read(self.database):
            if row.name in missing:
                self.fleet.load(row.name, Path(row.checkpoint))


def install_first(
    database: Database,
    client: QdrantClient,
    names: CollectionNames,
    embedder: Embedder,
    checkpoint: Path,
    declaration: Declaration,
    settings: QdrantSettings,
) -> bool:
    """Make this model the live one of an installation that has none; False if there is one already.

    Whoever and whatever Postgres knows by then is put into pending_sync, for workers to embed.
    """
    ensure_collections(
        client, names, embedder.name, embedder.dimension, declaration,
        settings.shard_number, settings.replication_factor,
    )  # fmt: skip
    installed = model_rows.install_first(
        database, embedder.name, str(checkpoint.resolve()), embedder.dimension
    )
    live = live_name(database)
    if live_model(client, names) is None:  # also after a start that died between the two
        point_aliases(client, names, live)
    return installed


def check_live(database: Database, configured: Embedder, checkpoint: Path) -> None:
    """Raises ModelMismatch where the configured checkpoint is not a model of this installation."""
    known = {row.name: row.state for row in model_rows.read(database)}
    if configured.name not in known or known[configured.name] == "retired":
        live = next((name for name, state in known.items() if state == "live"), "none")
        raise ModelMismatch(
            f"{checkpoint} holds model {configured.name}, but {live} is live here. Point KINDRED_CHECKPOINT "
            "at the live model's checkpoint."
        )


def check_lineage(database: Database, index: Index, models: Iterable[str]) -> None:
    """Raises LostHistory where Qdrant has seen revisions that Postgres has not drawn (rule 27)."""
    drawn = model_rows.last_revision(database)
    highest = max((index.highest_revision(model) for model in models), default=0)
    if highest > drawn:
        raise LostHistory(
            f"Qdrant holds revision {highest}, but Postgres has only drawn {drawn}: it was restored from a "
            "backup, or failed over with loss. Do not start workers; docs/operations.md says how to recover."
        )


def live_name(database: Database) -> str:
    """Name of the live model. Raises Misconfigured without one."""
    for row in model_rows.read(database):
        if row.state == "live":
            return row.name
    raise Misconfigured(
        "No model is live yet: start a worker with KINDRED_CHECKPOINT set to a trained model."
    )
