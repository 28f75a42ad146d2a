from __future__ import annotations

import pytest
import torch

from kindred.embedding.dropout import dropped


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_so_many_are_zero_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(301, 7, 13)  # no multiple of the eight elements that share a random number
    found = dropped(values, share, training=True)
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert found.mean().item() == pytest.approx(1.0, abs=0.02)


def test_every_element_is_drawn_by_itself() -> None:
    torch.manual_seed(0)
    kept = (dropped(torch.ones(40_000, 8), 0.5, training=True) > 0).float()
    together = kept.T.corrcoef()
    assert (together - torch.eye(8)).abs().max() < 0.03


def test_serving_drops_nothing() -> None:
    values = torch.ones(5)
    assert dropped(values, 0.9, training=False) is values
