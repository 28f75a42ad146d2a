"""The models of an installation: which there are, and the first one's way in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import QdrantClient

from kindred.declaration import Declaration
from kindred.embedding.checkpoint import read_manifest
from kindred.embedding.embedder import Embedder
from kindred.embedding.fleet import Fleet
from kindred.errors import LostHistory, Misconfigured, ModelMismatch
from kindred.history import models as model_rows
from kindred.history.connection import Database
from kindred.history.models import ModelRow
from kindred.settings import QdrantSettings
from kindred.vectors.aliases import live_model, point_aliases
from kindred.vectors.collections import ensure_collections
from kindred.vectors.index import Index
from kindred.vectors.names import CollectionNames


@dataclass(frozen=True, slots=True)
class Models:
    """Keeps what a worker has loaded in step with the model table. Used by the pipeline's threads."""

    database: Database
    fleet: Fleet
    index: Index

    def require(self, names: Iterable[str]) -> None:
        """Load the models that appeared since the last batch. Raises ModelMismatch or Outage."""
        missing = set(names) - self.fleet.names
        if not missing:
            return
        for row in model_rows.read(self.database):
            if row.name in missing:
                self._load(row)

    def check_lineage(self) -> None:
        """Raises LostHistory, see `check_lineage`; Outage."""
        check_lineage(self.database, self.index, [row.name for row in model_rows.read(self.database)])

    def _load(self, row: ModelRow) -> None:
        directory = Path(row.checkpoint)
        # Before the weights: another model under this name would put its vectors among these.
        if (found := read_manifest(directory).name) != row.name:
            raise ModelMismatch(
                f"{directory} holds model {found}, but {row.name} must be written and was installed from "
                "there. Put its checkpoint back, or retire the model."
            )
        self.fleet.load(row.name, directory)


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
    check_known(database, embedder.name, checkpoint)
    ensure_collections(
        client, names, embedder.name, embedder.dimension, declaration,
        settings.shard_number, settings.replication_factor,
    )  # fmt: skip
    installed = model_rows.install_first(
        database, embedder.name, str(checkpoint.resolve()), embedder.dimension
    )
    check_known(database, embedder.name, checkpoint)  # another worker may have installed another one
    live = live_name(database)
    if live_model(client, names) is None:  # also after a start that died between the two
        point_aliases(client, names, live)
    return installed


def check_known(database: Database, configured: str, checkpoint: Path) -> None:
    """Raises ModelMismatch where there are models, and the configured checkpoint is none of them."""
    states = {row.name: row.state for row in model_rows.read(database)}
    if states and configured not in states:
        live = next((name for name, state in states.items() if state == "live"), "no other")
        raise ModelMismatch(
            f"{checkpoint} holds model {configured}, but {live} is live here. Point KINDRED_CHECKPOINT "
            "at the live model's checkpoint."
        )


def check_lineage(database: Database, index: Index, models: Iterable[str]) -> None:
    """Raises LostHistory where Qdrant has seen revisions that Postgres has not drawn (rule 27)."""
    # Qdrant first: the other way round, what another worker draws and writes in between looks lost.
    highest = max((index.highest_revision(model) for model in models), default=0)
    drawn = model_rows.last_revision(database)
    if highest > drawn:
        raise LostHistory(
            f"Qdrant holds revision {highest}, but Postgres has only drawn {drawn}: it was restored from a "
            "backup, or failed over with loss. Stop all workers, then run `kindred recover`."
        )


def live_name(database: Database) -> str:
    """Name of the live model. Raises Misconfigured without one."""
    for row in model_rows.read(database):
        if row.state == "live":
            return row.name
    raise Misconfigured(
        "No model is live yet: start a worker with KINDRED_CHECKPOINT set to a trained model."
    )
