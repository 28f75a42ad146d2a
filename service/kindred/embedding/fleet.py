"""The loaded models of a worker, each with every item it may meet in a history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories, Item


class Fleet:
    """Embeds with several models at once: every one that the model table says must be written.

    Used by one thread. Items must be given in the order in which transactions found them.
    """

    def __init__(self, *, dtype: Literal["float32", "bfloat16"] = "float32", threads: int = 1) -> None:
        self._dtype = dtype
        self._threads = threads
        self._embedders: dict[str, Embedder] = {}
        self._items: dict[int, Item] = {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._embedders)

    def load(self, name: str, checkpoint: Path) -> None:
        """Read a checkpoint and give it every known item. Raises ModelMismatch."""
        self.add(Embedder.load(checkpoint, dtype=self._dtype, threads=self._threads), name)

    def add(self, embedder: Embedder, name: str | None = None) -> None:
        embedder.update_items(list(self._items.values()))
        self._embedders[name or embedder.name] = embedder

    def drop(self, name: str) -> None:
        self._embedders.pop(name, None)

    def update_items(self, changed: Iterable[Item]) -> None:
        items = list(changed)
        self._items.update((item.number, item) for item in items)
        for embedder in self._embedders.values() if items else ():
            embedder.update_items(items)

    def embed(self, models: Sequence[str], histories: Histories) -> Mapping[str, NDArray[np.float32]]:
        """User vectors of each model, (n, d) with rows of unit length."""
        return {name: self._embedders[name].embed(histories) for name in models} if len(histories) else {}

    def embed_items(self, models: Sequence[str], items: Sequence[Item]) -> Mapping[str, NDArray[np.float32]]:
        """Item vectors of each model, (n, d), not of unit length."""
        return {name: self._embedders[name].embed_items(items) for name in models} if items else {}
