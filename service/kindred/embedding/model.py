"""A model in memory: towers, and all that is needed to read their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

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


def blank(declaration: Declaration, vocabulary: Vocabulary, options: TowerOptions) -> Model:
    """A model whose weights are shapes alone and take no memory: `weights.fill` brings them."""
    encoder = FeatureEncoder(declaration, vocabulary)
    with torch.device("meta"), _NothingDrawn():
        return Model(declaration, options, encoder, Towers(options, encoder).eval())


class _NothingDrawn(TorchFunctionMode):
    """Leaves out the initialisation. Random numbers that no memory takes cost 4 s and 150 MB, once a process:

    torch does that in Python, with half of its compiler (measured).
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(function, "__module__", None) == nn.init.__name__:
            return named["tensor"] if "tensor" in named else args[0]
        return function(*args, **named)


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
