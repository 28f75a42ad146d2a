from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kindred.training.losses import full_softmax, sampled_softmax


def inputs(rows: int = 1_100, items: int = 37, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    users = torch.randn(rows, width, generator=generator, requires_grad=True)
    catalogue = (3 * torch.randn(items, width, generator=generator)).requires_grad_()
    return users, catalogue, torch.randint(0, items, (rows,), generator=generator)


def test_the_fused_loss_and_its_gradients_equal_the_plain_ones() -> None:
    users, items, targets = inputs()
    fused = full_softmax(users, items, targets)
    plain = functional.cross_entropy(users @ items.T, targets)
    torch.testing.assert_close(fused, plain)
    torch.testing.assert_close(
        torch.autograd.grad(2 * fused, (users, items)), torch.autograd.grad(2 * plain, (users, items))
    )


def test_huge_logits_stay_finite() -> None:
    users, items, targets = inputs()
    assert torch.isfinite(full_softmax(users * 1e4, items, targets))


def test_sampling_everything_once_without_correction_is_the_full_loss() -> None:
    users, items, targets = inputs()
    uniform = torch.zeros(len(items))
    sampled = sampled_softmax(users, items, targets, torch.arange(len(items)), uniform)
    torch.testing.assert_close(sampled, full_softmax(users, items, targets))


def test_the_correction_makes_an_uneven_sample_point_the_same_way() -> None:
    users, items, targets = inputs(rows=200)
    probability = torch.linspace(1, 5, len(items)).softmax(0)
    drawn = torch.multinomial(probability, 50_000, replacement=True)
    # With many draws each item's summed weight tends to draws x its true weight.
    log_draws = torch.log(probability * len(drawn))
    found = torch.autograd.grad(sampled_softmax(users, items, targets, drawn, log_draws), users)[0]
    wanted = torch.autograd.grad(full_softmax(users, items, targets), users)[0]
    assert functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.98
