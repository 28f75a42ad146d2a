"""A small film shop of known vectors, written by the real Index: three users, five films, d = 4."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import QdrantClient

from kindred.declaration import Declaration, load
from kindred.history.window import Histories, Item
from kindred.settings import QdrantSettings
from kindred.vectors.collections import CollectionNames, ensure_collections, point_aliases
from kindred.vectors.connection import connect
from kindred.vectors.ids import point_ids
from kindred.vectors.index import Index

MODEL = "m1"
DIMENSION = 4
WATCHED_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@dataclass(frozen=True)
class Shop:
    """One namespace with a live model."""

    client: QdrantClient
    names: CollectionNames
    declaration: Declaration
    index: Index

    def payload(self, collection: str, point_id: int | str) -> dict[str, Any] | None:
        """A point's payload; None where there is no point."""
        found = self.client.retrieve(collection, [point_id])
        return found[0].payload if found else None

    def vector(self, collection: str, point_id: int | str) -> Any:
        """A point's vector; empty for a tombstone."""
        return self.client.retrieve(collection, [point_id], with_vectors=True)[0].vector


@contextmanager
def empty_shop(url: str) -> Iterator[Shop]:
    """Collections and aliases in a namespace of their own; removed afterwards."""
    client = connect(QdrantSettings(url=url))
    names, declaration = CollectionNames(f"t{uuid.uuid4().hex[:12]}"), load()
    ensure_collections(client, names, MODEL, DIMENSION, declaration)
    point_aliases(client, names, MODEL)
    try:
        yield Shop(client, names, declaration, Index(client, names, declaration))
    finally:
        for collection in client.get_collections().collections:
            if collection.name.startswith(names.namespace):
                client.delete_collection(collection.name)
        client.close()


def fill(shop: Shop, revision: int = 1) -> None:
    """Ada and user 7 like films 1 and 2; user 8 has watched nothing."""
    shop.index.write_users(
        MODEL,
        histories(["ada", "7", "8"], watched=[2, 1, 0], country=["DE", "AT", "DE"]),
        unit([[1, 0.1, 0, 0], [1, 0.2, 0, 0], [0, 0, 1, 0]]),
        [point_ids(["1", "film-2"]), point_ids(["1"]), []],
        revision,
        WATCHED_US,
    )
    shop.index.write_items(MODEL, films(), unit(FILM_VECTORS), revision)


FILM_VECTORS = [[1, 0, 0, 0], [0.9, 0.3, 0, 0], [0.8, 0.1, 0.4, 0], [0, 0, 1, 0], [0, 0.2, 0.9, 0.2]]


def films() -> list[Item]:
    """Five films; the fifth was never described."""
    return [
        film("1", "Heat", ["Crime", "Drama"], 1995, popularity=3.0),
        film("film-2", "Casino", ["Crime"], 1995, popularity=2.0),
        film("3", "Fargo", ["Crime", "Comedy"], 1996, popularity=9.0),
        film("4", "Amélie", ["Comedy"], 2001, popularity=5.0, available=False),
        Item(5, "5", None, None, False, 1, 0.5),
    ]


def film(item_id: str, title: str, genres: list[str], year: int, popularity: float, **fields: Any) -> Item:
    """A described film, available unless said otherwise."""
    attributes = {"genres": genres, "year": year, "available": True, **fields}
    return Item(1, item_id, title, attributes, False, 1, popularity)


def histories(user_ids: Sequence[str], watched: Sequence[int], country: Sequence[str]) -> Histories:
    """Users by how many films they have watched."""
    total = sum(watched)
    return Histories(
        user_ids=user_ids,
        profiles=[{"country": code, "nickname": "not declared"} for code in country],
        offsets=np.cumsum([0, *watched], dtype=np.int64),
        items=np.zeros(total, np.int32),
        types=np.zeros(total, np.int16),
        times_us=np.full(total, WATCHED_US),
        type_names=["watch"],
        history_lengths=watched,
    )


def unit(rows: Sequence[Sequence[float]]) -> Any:
    """(n, d) float32 of unit length."""
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
