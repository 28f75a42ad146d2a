"""A model in memory: towers, and all that is needed to read their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kindred.declaration import Declaration
from kindred.embedding.features import FeatureEncoder, Vocabulary, fit_vocabulary
from kindred.embedding.options import TowerOptions
from kindred.embedding.towers import Towers


@dataclass(frozen=True, slots=True)
class Model:
    """Two towers with the vocabulary and the declaration that they were made for."""

    declaration: Declaration
    options: TowerOptions
    encoder: FeatureEncoder
    towers: Towers


def build(declaration: Declaration, vocabulary: Vocabulary, options: TowerOptions, seed: int = 0) -> Model:
    """A model with random weights, the same for the same seed."""
    encoder = FeatureEncoder(declaration, vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(declaration, options, encoder, Towers(options, encoder).eval())


def untrained(
    declaration: Declaration,
    *,
    items: Mapping[str, Mapping[str, Any]] | None = None,
    profiles: Sequence[Mapping[str, Any]] = (),
    options: TowerOptions | None = None,
    seed: int = 0,
) -> Model:
    """A model with random weights that knows the values in `items` (attributes by id) and `profiles`.

    Good for benchmarks and tests: it serves like a trained one, but what it recommends means nothing.
    """
    described = items or {}
    vocabulary = fit_vocabulary(declaration, described, list(described.values()), profiles)
    return build(declaration, vocabulary, options or TowerOptions(), seed)
