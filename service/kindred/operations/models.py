"""The models of an installation: which there are, and the first one's way in."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import structlog
from qdrant_client import QdrantClient

from kindred.declaration import Declaration
from kindred.embedding.checkpoint import read_manifest
from kindred.embedding.embedder import Embedder
from kindred.embedding.fleet import Fleet
from kindred.errors import Misconfigured, ModelMismatch
from kindred.history import models as model_rows
from kindred.history.connection import Database
from kindred.history.models import ModelRow
from kindred.settings import QdrantSettings
from kindred.vectors.aliases import live_model, point_aliases
from kindred.vectors.collections import ensure_collections
from kindred.vectors.names import CollectionNames

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Models:
    """Keeps what a worker has loaded in step with the model table. Used by the pipeline's threads."""

    database: Database
    fleet: Fleet

    def require(self, names: Sequence[str]) -> list[str]:
        """Those of a batch's models that there still are (rule 25), loaded; retired ones leave the memory.

        Batches come in the order of their transactions. Raises ModelMismatch or Outage.
        """
        for name in self.fleet.names - set(names):
            self.fleet.drop(name)
            log.info("model_dropped", model=name, reason="retired")
        if missing := set(names) - self.fleet.names:
            self._load_missing(missing)
        return [name for name in names if name in self.fleet.names]

    def _load_missing(self, names: AbstractSet[str]) -> None:
        rows = {row.name: row for row in model_rows.read(self.database)}
        for name in sorted(names):
            if name in rows:
                self._load(rows[name])
            else:
                log.info("model_skipped", model=name, reason="retired since the batch's transaction")

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


def live_name(database: Database) -> str:
    """Name of the live model. Raises Misconfigured without one."""
    for row in model_rows.read(database):
        if row.state == "live":
            return row.name
    raise Misconfigured(
        "No model is live yet: start a worker with KINDRED_CHECKPOINT set to a trained model."
    )
