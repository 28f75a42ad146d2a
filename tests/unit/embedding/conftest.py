"""A small film shop: histories of every length, items described and not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from kindred import declaration
from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import Model, untrained
from kindred.history.window import Histories, Item

ITEM_COUNT = 40
MakeHistories = Callable[[Sequence[int]], Histories]


@pytest.fixture
def film_shop() -> Declaration:
    return declaration.load()


@pytest.fixture
def attributes() -> dict[str, dict[str, Any]]:
    return {
        f"film-{number}": {"genres": [f"g{number % 5}", "drama"], "actors": ["a1"], "year": 1950 + number}
        for number in range(ITEM_COUNT)
    }


@pytest.fixture
def model(film_shop: Declaration, attributes: dict[str, dict[str, Any]]) -> Model:
    profiles = 2 * [{"age_group": "18-24", "country": "DE"}, {"age_group": "25-34", "device_type": "tv"}]
    return untrained(film_shop, items=attributes, profiles=profiles, seed=3)


@pytest.fixture
def catalogue(attributes: dict[str, dict[str, Any]]) -> list[Item]:
    return [
        Item(number, item_id, None, attributes[item_id], removed=False, revision=1, popularity=0.0)
        for number, item_id in enumerate(attributes)
    ]


@pytest.fixture
def embedder(model: Model, catalogue: list[Item]) -> Embedder:
    made = Embedder(model, "test")
    made.update_items(catalogue)
    return made


@pytest.fixture
def make_histories(film_shop: Declaration) -> MakeHistories:
    def make(lengths: Sequence[int]) -> Histories:
        rng = np.random.default_rng(7)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        total = int(offsets[-1])
        return Histories(
            user_ids=[f"u{user}" for user in range(len(lengths))],
            profiles=[{"age_group": "18-24"} if user % 2 else {} for user in range(len(lengths))],
            offsets=offsets,
            items=rng.integers(0, ITEM_COUNT, total).astype(np.int32),
            types=rng.integers(0, len(film_shop.events), total).astype(np.int16),
            times_us=np.cumsum(rng.integers(0, 10**12, total)),
            type_names=list(film_shop.events),
            history_lengths=list(lengths),
        )

    return make
