from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from kindred.training.averaging import fading


def averaged(values: list[float], decay: float) -> float:
    """The mean after a weight has had these values, one a step."""
    layer = nn.Linear(1, 1, bias=False)
    average = AveragedModel(layer, multi_avg_fn=fading(decay))
    for value in values:
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update_parameters(layer)
    return average.module.weight.item()


def test_without_decay_the_mean_is_the_newest() -> None:
    assert averaged([3.0, 1.0, 7.0], decay=0.0) == 7.0


def test_old_weights_fade_by_the_decay() -> None:
    before, after = averaged([0.0] * 500, 0.9), averaged([0.0] * 500 + [1.0], 0.9)
    assert before == 0.0
    assert abs(after - 0.1) < 1e-6


def test_a_short_run_forgets_where_it_began() -> None:
    assert averaged([100.0] + [1.0] * 60, decay=0.999) < 2.0
