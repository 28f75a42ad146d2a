"""The mean of a training's newest weights, which ranks better than any of them (Polyak 1992)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Average = Callable[[Any, Any, Any], None]


def fading(decay: float) -> Average:
    """For torch's `AveragedModel`: each step counts `decay` times as much as the one after it.

    The first steps count for less, so that a short training's mean is not full of its beginning.
    """

    @torch.no_grad()
    def update(means: Any, weights: Any, steps: Any) -> None:
        newest = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        for mean, weight in zip(means, weights, strict=True):
            mean.lerp_(weight, newest)

    return update
