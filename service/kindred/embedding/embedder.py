"""What a worker needs to serve a model: item representations kept up to date, and users' vectors.

numpy in, numpy out: no tensor leaves this room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kindred.embedding import checkpoint
from kindred.embedding.features import UNKNOWN, Events, Windows, encode_windows, read_of
from kindred.embedding.model import Model
from kindred.embedding.vocabulary import Attributes
from kindred.history.window import Histories, Item
from kindred.memory import keep_freed_buffers

_FORWARD_USERS = 128  # measured: larger ones fall out of the CPU's cache, smaller ones wait on calls
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Embedder:
    """One model, ready to serve. Not for several threads at once."""

    def __init__(
        self, model: Model, name: str, *, dtype: Literal["float32", "bfloat16"] = "float32", threads: int = 1
    ) -> None:
        torch.set_num_threads(threads)
        keep_freed_buffers()
        self.name = name
        self.dimension = model.options.dimension
        self.declaration = model.declaration
        self.max_length = model.options.max_length
        self._encoder = model.encoder
        self._towers = model.towers.eval()
        self._dtype = _DTYPES[dtype]
        # Representations and prefixes are always made in full precision; only the transformer is cast.
        self._user_tower = (
            deepcopy(model.towers.user).to(self._dtype) if dtype != "float32" else model.towers.user
        )
        # Row 0 is the unknown item, row 1 + number the item of that number.
        self._items = self._represent([None], [None]).to(self._dtype)

    @classmethod
    def load(
        cls, directory: Path, *, dtype: Literal["float32", "bfloat16"] = "float32", threads: int = 1
    ) -> Embedder:
        """Read a checkpoint. Raises ModelMismatch when it is not what its manifest says."""
        model, manifest = checkpoint.load(directory)
        return cls(model, manifest.name, dtype=dtype, threads=threads)

    def update_items(self, items: Sequence[Item]) -> None:
        """Compute the representation that histories read of each item; a removed one is unknown.

        Of several versions of one item the last counts.
        """
        if not items:
            return
        latest = list({item.number: item for item in items}.values())
        rows = torch.tensor([1 + item.number for item in latest])
        table = _grown(self._items, int(rows.max()) + 1)
        fresh = self._representations(latest).to(self._dtype)
        table.index_copy_(0, rows, fresh)
        self._items = table

    def windows(self, histories: Histories) -> Windows:
        """What the user tower reads of these histories, as arrays; `embed` reads slices of the same."""
        return encode_windows(self._events(histories, len(self._items)), *self._bounds(histories))

    def embed(self, histories: Histories) -> NDArray[np.float32]:
        """User vectors (n, d), unit length, in the order of the histories.

        A user without interactions gets the vector of the profile alone (cold start).
        """
        items = self._items
        events = self._events(histories, len(items))
        starts, ends = self._bounds(histories)
        vectors = np.empty((len(histories), self.dimension), np.float32)
        with torch.inference_mode():
            prefixes = self._prefixes(histories)
            for users in _forward_batches(ends - starts):
                windows = encode_windows(events, starts[users], ends[users])
                batch = self._user_tower.newest(prefixes[torch.from_numpy(users)], windows, items)
                vectors[users] = batch.numpy()
        return vectors

    def embed_items(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Item vectors (n, d), of any length: their dot product with a user's vector is the score."""
        with torch.inference_mode():
            return self._towers.item.project(self._representations(items)).numpy()

    def _representations(self, items: Sequence[Item]) -> Tensor:
        ids = [None if item.removed else item.item_id for item in items]
        return self._represent(ids, [read_of(item, self.declaration.item) for item in items])

    def _represent(self, item_ids: Sequence[str | None], attributes: Sequence[Attributes | None]) -> Tensor:
        with torch.no_grad():
            representations: Tensor = self._towers.item(self._encoder.encode_items(item_ids, attributes))
            return representations

    def _prefixes(self, histories: Histories) -> Tensor:
        bags = self._encoder.encode_profiles(histories.user_ids, histories.profiles)
        prefixes: Tensor = self._towers.user.profile(bags)
        return prefixes.to(self._dtype)

    def _bounds(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start and end of each user's newest `max_length` interactions."""
        ends = histories.offsets[1:]
        return np.maximum(histories.offsets[:-1], ends - self.max_length), ends

    def _events(self, histories: Histories, table_rows: int) -> Events:
        rows = histories.items.astype(np.int64) + 1
        type_numbers = self._encoder.type_numbers(histories.type_names)
        return Events(
            rows=np.where(rows < table_rows, rows, UNKNOWN),
            types=type_numbers[histories.types],
            times_us=histories.times_us,
        )


def _forward_batches(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    # Sorted by length, so that hardly any padding is computed.
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _FORWARD_USERS):
        yield order[start : start + _FORWARD_USERS]


def _grown(table: Tensor, rows: int) -> Tensor:
    # A larger table is a new one, assigned only when complete; doubling keeps growth cheap.
    if rows <= len(table):
        return table
    grown = table[:1].repeat(max(rows, 2 * len(table)), 1)
    grown[: len(table)] = table
    return grown
