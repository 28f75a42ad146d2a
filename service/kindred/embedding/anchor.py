"""Item vectors that hold a vector space in place, carried from model to model along a lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as parse_arrays
from safetensors.numpy import save as dump_arrays

from kindred.embedding.manifest import ANCHOR_IDS, ANCHOR_VECTORS

_KEY = "vectors"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Vectors of some items, as the first model of a lineage gave them."""

    item_ids: Sequence[str]  # n
    vectors: NDArray[np.float32]  # (n, d)


def dump(anchor: Anchor) -> dict[str, bytes]:
    """Its two files, by name."""
    return {
        ANCHOR_IDS: msgspec.json.encode(list(anchor.item_ids)),
        ANCHOR_VECTORS: dump_arrays({_KEY: np.ascontiguousarray(anchor.vectors)}),
    }


def parse(files: dict[str, bytes]) -> Anchor:
    """Inverse of `dump`. Raises KeyError, msgspec.DecodeError, SafetensorError or ValueError."""
    item_ids = msgspec.json.decode(files[ANCHOR_IDS], type=list[str])
    vectors = parse_arrays(files[ANCHOR_VECTORS])[_KEY]
    if vectors.ndim != 2 or len(vectors) != len(item_ids):
        raise ValueError(f"{len(item_ids)} anchors with vectors of shape {vectors.shape}")
    if vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise ValueError("the anchors' vectors are not all finite float32")
    return Anchor(item_ids, vectors)
