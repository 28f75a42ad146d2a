"""What a checkpoint says about itself: how a model was made, from what, and which files it consists of."""

from __future__ import annotations

import re
from collections.abc import Collection
from reprlib import repr as short
from typing import Annotated, Any, Literal

import msgspec

from kindred.embedding.options import TowerOptions

FORMAT = 3
ALIGNABLE = frozenset({2, FORMAT})  # formats whose anchors are of today's kind
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"
ANCHOR_IDS = "anchor.json"
ANCHOR_VECTORS = "anchor.safetensors"
_FILES = frozenset({WEIGHTS, VOCABULARY})
_ANCHOR_FILES = frozenset({ANCHOR_IDS, ANCHOR_VECTORS})
MAX_BYTES = 16 * 2**30  # of all files together: ten million items at 256 dimensions, and some
_NAME = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Time = Annotated[
    int, msgspec.Meta(ge=-62_135_596_800_000_000, lt=253_402_300_800_000_000)
]  # years 1 to 9999


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of the checkpoint must be."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: _Count


class TrainingRange(msgspec.Struct, frozen=True):
    """The log that a model was trained on; times in microseconds since the Unix epoch."""

    interactions: _Count = 0
    users: _Count = 0
    items: _Count = 0
    first_us: _Time | None = None
    last_us: _Time | None = None


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a log kept back from training, so that `kindred evaluate` may ask about it."""

    newest_share: _Share = 0.0  # newest share of all events
    last_targets: bool = False  # each user's newest target (leave-one-out)
    users_share: _Share = 0.0  # of the users, by a hash of their id
    items_share: _Share = 0.0  # of the items, by a hash of their id
    seed: int = 0  # of both hashes


class Epoch(msgspec.Struct, frozen=True):
    """One pass over the log, and what validation said after it (0 where nothing can be validated)."""

    epoch: int  # from 1
    loss: float | None  # mean of its steps; None where the time budget left it none
    seconds: float  # since training began, validation included
    ndcg_at_10: float = msgspec.field(name="ndcg@10")
    hr_at_10: float = msgspec.field(name="hr@10")


class TrainingRun(msgspec.Struct, frozen=True):
    """How the weights came about: a loss curve, and what would repeat it."""

    options: dict[str, Any] = {}
    epochs: list[Epoch] = []
    ended: Literal["", "epochs", "patience", "budget", "interrupted"] = ""
    kept: _Count = 0  # the epoch that shipped; 0: not told

    @property
    def kept_epoch(self) -> Epoch:
        """The one that shipped; where that is not told, the best by NDCG@10. There must be one."""
        told = (epoch for epoch in self.epochs if epoch.epoch == self.kept)
        return next(told, None) or max(self.epochs, key=lambda epoch: epoch.ndcg_at_10)


class Lineage(msgspec.Struct, frozen=True):
    """The vector space that a model's vectors lie in."""

    first: str = ""  # the model that first had it; empty: this one
    shared_items: int = 0  # that the rotation into it was fitted on; 0: none
    note: str = ""  # why it was not rotated, where it was meant to be


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a model but its numbers."""

    format: int
    name: str
    created_at: Annotated[str, msgspec.Meta(max_length=40)]  # RFC 3339
    dimension: int
    max_length: int
    towers: TowerOptions
    declaration: dict[str, Any]
    trained_on: TrainingRange
    metrics: dict[str, float]  # on validation cases, of the epoch that was kept
    files: dict[str, FileEntry]
    held_out: HeldOut = HeldOut()
    training: TrainingRun = TrainingRun()
    lineage: Lineage = Lineage()


def fault(manifest: Manifest, formats: Collection[int] = (FORMAT,)) -> str | None:
    """What is wrong with it, as the rest of a sentence that begins with its path; None if nothing is."""
    if manifest.format not in formats:
        return f"has format {manifest.format}, this version of Kindred reads format {FORMAT}"
    if not _NAME.fullmatch(manifest.name):
        return f"gives the model the name {short(manifest.name)}, which cannot be part of a collection's name"
    if set(manifest.files) - _ANCHOR_FILES != _FILES:
        return f"lists the files {short(sorted(manifest.files))}; they must be {sorted(_FILES)}, beside it"
    if (total := sum(entry.bytes for entry in manifest.files.values())) > MAX_BYTES:
        return f"announces files of {total} bytes, {MAX_BYTES} are allowed"
    sizes = (manifest.dimension, manifest.max_length)
    if sizes != (manifest.towers.dimension, manifest.towers.max_length):
        return "contradicts itself about dimension or length"
    if manifest.towers.width % (2 * manifest.towers.heads):
        return "has towers whose heads do not divide their width into even parts"
    return None
