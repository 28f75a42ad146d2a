"""Promises about the files of a checkpoint: refused in one sentence, or a model."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fuzz.records import EVERY_KIND, KNOWN, Target
from kindred.embedding import checkpoint
from kindred.embedding.anchor import Anchor
from kindred.embedding.embedder import Embedder
from kindred.embedding.manifest import ANCHOR_IDS, ANCHOR_VECTORS, VOCABULARY, WEIGHTS
from kindred.embedding.model import build
from kindred.embedding.options import TowerOptions
from kindred.errors import ModelMismatch
from kindred.history.window import Item

ITEM = Item(0, "i1", "Alien", {"genres": ["Drama"], "year": 1979}, removed=False, revision=1, popularity=0.0)


class Checkpoint:
    """A small checkpoint, of which a target replaces one file, with a manifest that vouches for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        options = TowerOptions(dimension=4, width=4, blocks=1, feed_forward=4, max_length=3)
        model = build(EVERY_KIND, KNOWN, options)
        anchor = Anchor(["i1", "i2"], np.ones((2, 4), np.float32))
        checkpoint.save(model, self.directory, now=datetime(2026, 11, 25, tzinfo=UTC), anchor=anchor)
        self.files = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        self._manifest = json.loads(self.files[checkpoint.MANIFEST])

    def path(self, name: str) -> Path:
        return self.directory / name

    def load(self, name: str, content: bytes) -> None:
        self.path(name).write_bytes(content)
        if name != checkpoint.MANIFEST:
            entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            files = self._manifest["files"] | {name: entry}
            self.path(checkpoint.MANIFEST).write_text(json.dumps(self._manifest | {"files": files}))
        try:
            anchor = checkpoint.load_anchor(self.directory)
            model, _ = checkpoint.load(self.directory)
        except ModelMismatch as refusal:
            sentence = str(refusal)
        else:
            assert anchor is None or len(anchor.item_ids) == len(anchor.vectors)
            assert all(np.isfinite(each.detach().numpy()).all() for each in model.towers.parameters())
            assert Embedder(model, "m").embed_items([ITEM]).shape == (1, model.options.dimension)
            return
        assert sentence.isprintable()
        assert len(sentence) < 600


def a_manifest(folder: Path) -> Target:
    """A manifest is refused in one sentence, or the model loads."""
    sound = Checkpoint(folder / "model")
    return lambda data: sound.load(checkpoint.MANIFEST, data)


def a_vocabulary(folder: Path) -> Target:
    """The same of a vocabulary."""
    sound = Checkpoint(folder / "model")
    return lambda data: sound.load(VOCABULARY, data)


def an_anchor(folder: Path) -> Target:
    """The same of the ids (first byte even) or the vectors that hold a vector space in place."""
    sound = Checkpoint(folder / "model")
    return lambda data: sound.load(ANCHOR_VECTORS if data[:1] and data[0] % 2 else ANCHOR_IDS, data[1:])


def a_weights_file(folder: Path) -> Target:
    """The same of weights: whole, or (first byte even) a header, with the right number of bytes behind it."""
    sound = Checkpoint(folder / "model")
    weights = sound.files[WEIGHTS]
    start = 8 + int.from_bytes(weights[:8], "little")

    def target(data: bytes) -> None:
        header = data[1:]
        whole = len(header).to_bytes(8, "little") + header + weights[start:]
        sound.load(WEIGHTS, header if data[:1] and data[0] % 2 else whole)

    return target
