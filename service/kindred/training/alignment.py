"""A vector space that stays put: a retrained model is rotated into that of its lineage's first model.

Only the two output projections are multiplied, by one orthogonal matrix, so no score changes, and the
history encoder never reads a rotated vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kindred.embedding import checkpoint
from kindred.embedding.anchor import Anchor
from kindred.embedding.embedder import Embedder
from kindred.embedding.manifest import ALIGNABLE, Lineage
from kindred.embedding.model import Model
from kindred.errors import ModelMismatch
from kindred.training.event_log import EventLog

MOST_ANCHORS = 10_000  # hundreds of equations for each unknown: more would only make checkpoints larger


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space to stay in. Always the first model's: small errors of each rotation must not add up."""

    first: str  # the model's name
    anchor: Anchor


def read_space(directory: Path) -> Space:
    """The space that a checkpoint's vectors lie in. Raises ModelMismatch where it does not tell."""
    manifest = checkpoint.read_manifest(directory, ALIGNABLE)
    anchor = checkpoint.load_anchor(directory)
    if anchor is None:
        raise ModelMismatch(
            f"The checkpoint {directory} has no anchor to align to: it was not made by `kindred train`."
        )
    return Space(manifest.lineage.first or manifest.name, anchor)


def settle(model: Model, log: EventLog, space: Space | None) -> tuple[Lineage, Anchor]:
    """Rotate `model` into `space`, and what its checkpoint keeps of that.

    Without a space, or where it cannot be entered, the model is the first of a space of its own.
    """
    numbers = _known_items(model, log)
    if space is None:
        return Lineage(), _own_anchor(model, log, numbers)
    places = [place for place, item_id in enumerate(space.anchor.item_ids) if item_id in numbers]
    if note := _obstacle(space, model.options.dimension, len(places)):
        return Lineage(note=note), _own_anchor(model, log, numbers)
    own = _vectors(model, log, [numbers[space.anchor.item_ids[place]] for place in places])
    rotate(model, procrustes(own, space.anchor.vectors[places]))
    return Lineage(space.first, len(places)), space.anchor


def procrustes(own: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float64]:
    """The orthogonal (d, d) R that brings own @ R.T nearest to wanted, both (n, d) (Schönemann 1966)."""
    left, _, right = np.linalg.svd(wanted.astype(np.float64).T @ own.astype(np.float64))
    rotation: NDArray[np.float64] = left @ right
    return rotation


def rotate(model: Model, rotation: NDArray[np.float64]) -> None:
    """Multiply both output projections, and nothing else."""
    for output in (model.towers.user.output, model.towers.item.output):
        weight = output.weight.detach()
        turned = torch.from_numpy(rotation) @ weight.to("cpu", torch.float64)
        with torch.no_grad():
            output.weight.copy_(turned)


def _obstacle(space: Space, dimension: int, shared_items: int) -> str:
    """Why the space cannot be entered; empty where it can."""
    theirs = space.anchor.vectors.shape[1]
    if theirs != dimension:
        return f"not aligned to {space.first}, whose vectors have d = {theirs}, these {dimension}"
    if shared_items < dimension:
        return f"not aligned to {space.first}, of whose items {shared_items} are known, fewer than d"
    return ""


def _own_anchor(model: Model, log: EventLog, numbers: Mapping[str, int]) -> Anchor:
    """The items with most events."""
    counts = np.bincount(log.items, minlength=len(log.item_ids))
    chosen = sorted(numbers, key=lambda item_id: (-counts[numbers[item_id]], item_id))[:MOST_ANCHORS]
    return Anchor(chosen, _vectors(model, log, [numbers[item_id] for item_id in chosen]))


def _known_items(model: Model, log: EventLog) -> dict[str, int]:
    """Number in the log of each item that has an identity in the model."""
    known = set(model.encoder.vocabulary.item_ids)
    return {item_id: number for number, item_id in enumerate(log.item_ids) if item_id in known}


def _vectors(model: Model, log: EventLog, numbers: Sequence[int]) -> NDArray[np.float32]:
    catalogue = log.catalogue()
    return Embedder(model, "alignment").embed_items([catalogue[number] for number in numbers])
