from __future__ import annotations

import numpy as np
import pytest
import torch

from kindred.declaration import Declaration
from kindred.embedding.model import untrained
from kindred.embedding.vocabulary import Bags
from kindred.training.objective import Competition, Objective, chosen_loss
from kindred.training.options import LossName, TrainingOptions

COUNT = 50
LOG_SHARE = torch.linspace(1, 4, COUNT).log_softmax(0)


def test_auto_samples_only_large_catalogues() -> None:
    options = TrainingOptions(full_softmax_items=100)
    assert chosen_loss(options, 100) == "full"
    assert chosen_loss(options, 101) == "sampled"
    assert chosen_loss(TrainingOptions(loss="triplet"), 1) == "triplet"


def test_candidates_are_drawn_by_popularity() -> None:
    objective = Objective(TrainingOptions(loss="sampled", sampled_items=100_000), LOG_SHARE)
    torch.manual_seed(0)
    drawn = objective.drawn(np.array([3, 4]))
    assert drawn is not None
    share = np.bincount(drawn, minlength=COUNT + 1)[1:] / len(drawn)
    np.testing.assert_allclose(share, LOG_SHARE.exp(), atol=0.003)


def test_in_batch_takes_the_targets_themselves_and_the_full_loss_nothing() -> None:
    targets = np.array([3, 9, 3])
    drawn = Objective(TrainingOptions(loss="in-batch"), LOG_SHARE).drawn(targets)
    assert drawn is not None
    assert drawn.tolist() == [3, 9, 3]
    assert Objective(TrainingOptions(loss="full"), LOG_SHARE).drawn(targets) is None


def test_a_step_computes_only_the_items_it_reads_and_finds_them_again(film_shop: Declaration) -> None:
    model = untrained(film_shop, items={str(number): {} for number in range(COUNT)})
    bags = model.encoder.encode_items([None, *map(str, range(COUNT))], [None] * (COUNT + 1))
    drawn, read = np.array([9, 20, 9]), np.array([[4, 0], [20, 31]])
    among = Competition(bags, LOG_SHARE, drawn, read)
    assert len(among.bags.offsets) == 5  # the unknown item, 4, 9, 20 and 31
    np.testing.assert_array_equal(
        among.bags.take(among.places(read).ravel()).tokens, bags.take(read.ravel()).tokens
    )
    assert among.drawn is not None
    assert among.log_probability[among.drawn].tolist() == LOG_SHARE[drawn - 1].tolist()


@pytest.mark.parametrize(("loss", "weight"), [("in-batch", 1.0), ("full", 0.0)])
def test_a_step_without_anything_wanted_can_be_taken(
    film_shop: Declaration, loss: LossName, weight: float
) -> None:
    model = untrained(film_shop, items={str(number): {} for number in range(COUNT)})
    bags = model.encoder.encode_items([None, *map(str, range(COUNT))], [None] * (COUNT + 1))
    objective = Objective(TrainingOptions(loss=loss, negative_weight=weight), LOG_SHARE)
    disliked = np.array([3, 4])
    among = Competition(bags, LOG_SHARE, objective.drawn(disliked[:0]), disliked)
    users, items = torch.ones(2, 8, requires_grad=True), torch.ones(COUNT, 8)
    value = objective(users, items, among.numbers(disliked), torch.zeros(2, dtype=torch.bool), among)
    assert value.item() == 0
    value.backward()


@pytest.mark.parametrize("loss", ["full", "sampled", "in-batch", "triplet"])
def test_what_as_many_users_dislike_as_like_is_pushed_away(loss: LossName) -> None:
    assert _probability_of_the_disputed(loss, 1.0) < 0.9 * _probability_of_the_disputed(loss, 0.0)


def _probability_of_the_disputed(loss: LossName, negative_weight: float) -> float:
    """Ten users each want one item and dislike it as often; tables of vectors learn from that alone."""
    count, generator = 10, torch.Generator().manual_seed(0)
    users, items = (torch.randn(count, 8, generator=generator).requires_grad_() for _ in range(2))
    options = TrainingOptions(loss=loss, sampled_items=40, negative_weight=negative_weight)
    uniform = torch.zeros(count).log_softmax(0)
    objective = Objective(options, uniform)
    pairs, wanted = torch.arange(count).repeat(2), torch.arange(2 * count) < count
    torch.manual_seed(0)
    for _ in range(100):
        drawn = objective.drawn(np.arange(1, count + 1))
        bags = Bags(
            np.arange(count + 1),
            np.ones(count + 1, np.float32),
            np.arange(count + 1),
            np.zeros((count + 1, 0), np.float32),
        )
        among = Competition(bags, uniform, drawn, np.arange(count + 1))
        gradients = torch.autograd.grad(objective(users[pairs], items, pairs, wanted, among), (users, items))
        with torch.no_grad():
            for table, gradient in zip((users, items), gradients, strict=True):
                table -= 2 * gradient
    return (users @ items.T).softmax(1).diagonal().mean().item()
