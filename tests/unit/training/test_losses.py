"""Losses and their gradients against formulas written out row by row."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kindred.training.losses import full_softmax, repelled, sampled_softmax, triplet


def inputs(rows: int = 1_100, items: int = 37, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    users = torch.randn(rows, width, generator=generator, requires_grad=True)
    catalogue = (3 * torch.randn(items, width, generator=generator)).requires_grad_()
    return users, catalogue, torch.randint(0, items, (rows,), generator=generator)


def assert_same(found: Tensor, wanted: Tensor, *leaves: Tensor) -> None:
    """The same value, and the same gradients."""
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(2 * found, leaves), torch.autograd.grad(2 * wanted, leaves)
    )


def mean_by_row(users: Tensor, targets: Tensor, of_row: Callable[[Tensor, int], Tensor]) -> Tensor:
    rows = zip(users, targets.tolist(), strict=True)
    return torch.stack([of_row(user, target) for user, target in rows]).mean()


def test_the_fused_loss_and_its_gradients_equal_the_plain_ones() -> None:
    users, items, targets = inputs()
    plain = functional.cross_entropy(users @ items.T, targets)
    assert_same(full_softmax(users, items, targets), plain, users, items)


def test_in_bfloat16_the_gradients_point_the_same_way() -> None:
    users, items, targets = inputs()
    exact = torch.autograd.grad(full_softmax(users, items, targets), (users, items))
    rough = torch.autograd.grad(full_softmax(users, items, targets, torch.bfloat16), (users, items))
    for wanted, found in zip(exact, rough, strict=True):
        assert functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.999


def test_huge_logits_stay_finite() -> None:
    users, items, targets = inputs()
    assert torch.isfinite(full_softmax(users * 1e4, items, targets))
    assert torch.isfinite(repelled(users * 1e4, items, targets))


def test_sampling_everything_once_is_the_full_loss() -> None:
    users, items, targets = inputs()
    every, uniform = torch.arange(len(items)), torch.full((len(items),), math.log(1 / len(items)))
    sampled = sampled_softmax(users, items, targets, every, uniform)
    assert_same(sampled, full_softmax(users, items, targets), users, items)


def test_an_uneven_sample_is_the_full_loss_in_the_limit() -> None:
    users, items, targets = inputs(rows=200)
    probability = torch.linspace(1, 5, len(items)).softmax(0)
    drawn = torch.multinomial(probability, 50_000, replacement=True)
    sampled = sampled_softmax(users, items, targets, drawn, probability.log())
    full = full_softmax(users, items, targets)
    torch.testing.assert_close(sampled, full, rtol=0.02, atol=0)
    found, wanted = (torch.autograd.grad(loss, users)[0] for loss in (sampled, full))
    assert (found - wanted).norm() < 0.1 * wanted.norm()


def test_in_batch_candidates_are_the_other_targets_corrected_by_their_popularity() -> None:
    users, items, targets = inputs(rows=50, items=20)
    share = torch.linspace(1, 3, len(items)).softmax(0)

    def of_row(user: Tensor, target: int) -> Tensor:
        masses = [(user @ items[other]).exp() / share[other] for other in targets.tolist() if other != target]
        own = (user @ items[target]).exp()
        return torch.log((own + sum(masses) / len(targets)) / own)

    found = sampled_softmax(users, items, targets, targets, share.log())
    assert_same(found, mean_by_row(users, targets, of_row), users, items)


def test_a_batch_of_one_item_has_nothing_to_tell_apart() -> None:
    users, items, _ = inputs(rows=9)
    same = torch.full((9,), 4)
    assert sampled_softmax(users, items, same, same, torch.zeros(len(items))).item() == 0
    assert triplet(users, items, same, same, margin=1.0, semi_hard=True).item() == 0
    assert triplet(users, items, same, same, margin=1.0, semi_hard=False).item() == 0


def test_semi_hard_triplets_equal_the_plain_search() -> None:
    users, items, targets = inputs(rows=60)
    sampled = torch.tensor([3, 9, 9, 14, 20, 31])

    def of_row(user: Tensor, target: int) -> Tensor:
        right = user @ items[target]
        scores = [user @ items[other] for other in sampled.tolist() if other != target]
        below = [score for score in scores if score < right]
        return (1.5 - right + (max(below) if below else min(scores))).clamp(min=0)

    found = triplet(users, items, targets, sampled, margin=1.5, semi_hard=True)
    assert_same(found, mean_by_row(users, targets, of_row), users, items)


def test_random_triplets_take_the_samples_in_turn() -> None:
    users, items, targets = inputs(rows=10)
    sampled = torch.tensor([3, 9, 14])
    negatives = torch.tensor([3, 9, 14, 3, 9, 14, 3, 9, 14, 3])
    right, wrong = (users * items[targets]).sum(1), (users * items[negatives]).sum(1)
    plain = torch.where(targets == negatives, 0.0, (0.5 - right + wrong).clamp(min=0)).mean()
    assert_same(triplet(users, items, targets, sampled, margin=0.5, semi_hard=False), plain, users, items)


def test_what_is_repelled_costs_its_own_probability() -> None:
    *leaves, unwanted = inputs(rows=600)  # more than a chunk
    users, items = (leaf.detach().double().requires_grad_() for leaf in leaves)

    def of_row(user: Tensor, item: int) -> Tensor:
        return -torch.log1p(-(items @ user).softmax(0)[item])

    assert_same(repelled(users, items, unwanted), mean_by_row(users, unwanted, of_row), users, items)


def test_repelling_among_all_items_once_is_repelling_in_the_whole_catalogue() -> None:
    users, items, unwanted = inputs(rows=40)
    every, uniform = torch.arange(len(items)), torch.full((len(items),), math.log(1 / len(items)))
    assert_same(
        repelled(users, items, unwanted, every, uniform), repelled(users, items, unwanted), users, items
    )


def test_repelling_counts_each_draw_by_how_often_it_was_to_be_expected() -> None:
    users, items, unwanted = inputs(rows=40)
    # Two draws of each even item, one of each odd one: a sample as it is when it holds what is expected.
    drawn = torch.cat([torch.arange(len(items)), torch.arange(0, len(items), 2)])
    log_probability = torch.log(torch.bincount(drawn) / len(drawn))
    assert_same(
        repelled(users, items, unwanted, drawn, log_probability),
        repelled(users, items, unwanted),
        users,
        items,
    )


def test_with_nothing_to_compare_it_with_a_disliked_item_costs_nothing() -> None:
    users, items, _ = inputs(rows=9)
    same, uniform = torch.full((9,), 4), torch.zeros(len(items))
    for sampled in (torch.zeros(0, dtype=torch.int64), torch.tensor([4, 4])):
        loss = repelled(users, items, same, sampled, uniform)
        assert loss.item() == 0
        assert not torch.autograd.grad(loss, users)[0].any()


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_repelling_a_certain_item_hurts_more_than_an_unlikely_one(share: float) -> None:
    scores = torch.tensor([[share, 1 - share]]).log()
    certain, unlikely = (repelled(scores, torch.eye(2), torch.tensor([item])) for item in (0, 1))
    torch.testing.assert_close(certain.exp(), torch.tensor(1 / (1 - share)))
    torch.testing.assert_close(unlikely.exp(), torch.tensor(1 / share))
