from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kindred.embedding.features import Events, Windows, encode_windows
from kindred.embedding.model import Model

LENGTHS = np.array([0, 1, 3, 7, 50])


def windows(seed: int = 0) -> tuple[Windows, Events]:
    rng = np.random.default_rng(seed)
    total = int(LENGTHS.sum())
    events = Events(
        rng.integers(0, 41, total), rng.integers(0, 6, total), np.cumsum(rng.integers(0, 10**10, total))
    )
    ends = np.cumsum(LENGTHS)
    return encode_windows(events, ends - LENGTHS, ends), events


def inputs(model: Model) -> tuple[Tensor, Tensor]:
    """Prefixes and an item table, random."""
    generator = torch.Generator().manual_seed(1)
    width = model.options.width
    return torch.randn(len(LENGTHS), width, generator=generator), torch.randn(41, width, generator=generator)


def reference(model: Model, prefix: Tensor, window: Windows, row: int, items: Tensor) -> Tensor:
    """One user, one head at a time, one query at a time: the formulas as the papers write them."""
    tower, heads = model.towers.user, model.options.heads
    tokens = [prefix]
    for at in range(int(window.lengths[row])):
        token = items[window.rows[row, at]] + tower.types.weight[window.types[row, at]]
        token = token + tower.gaps.weight[window.gaps[row, at]]
        tokens.append(token + tower.positions.weight[window.positions[row, at]])
    hidden = torch.stack(tokens)
    for block in tower.blocks:
        query, key, value = (norm(hidden, block.attention_norm.weight) @ block.qkv.weight.T).chunk(3, dim=-1)
        mixed = torch.zeros_like(query)
        for head in torch.arange(query.shape[1]).chunk(heads):
            for at in range(len(hidden)):
                scores = key[: at + 1, head] @ query[at, head] / len(head) ** 0.5
                mixed[at, head] = scores.softmax(0) @ value[: at + 1, head]
        hidden = hidden + mixed @ block.attention_output.weight.T
        inner = (norm(hidden, block.feed_forward_norm.weight) @ block.expand.weight.T).clamp(min=0)
        hidden = hidden + inner @ block.contract.weight.T
    user = norm(hidden, tower.norm.weight) @ tower.output.weight.T
    return user / user.norm(dim=-1, keepdim=True)


def norm(tokens: Tensor, weight: Tensor) -> Tensor:
    epsilon = torch.finfo(tokens.dtype).eps
    return tokens / (tokens.square().mean(-1, keepdim=True) + epsilon).sqrt() * weight


def test_the_user_tower_equals_the_formulas(model: Model) -> None:
    window, _ = windows()
    prefixes, items = inputs(model)
    with torch.no_grad():
        found = model.towers.user(prefixes, window, items)
        for row, length in enumerate(LENGTHS):
            expected = reference(model, prefixes[row], window, row, items)
            torch.testing.assert_close(found[row, : length + 1], expected, atol=1e-5, rtol=0)


def test_the_lean_pass_equals_the_full_one_at_the_last_position(model: Model) -> None:
    window, _ = windows()
    prefixes, items = inputs(model)
    with torch.no_grad():
        full = model.towers.user(prefixes, window, items)[np.arange(len(LENGTHS)), window.lengths]
        torch.testing.assert_close(model.towers.user.newest(prefixes, window, items), full, atol=1e-5, rtol=0)


def test_no_position_sees_its_future(model: Model) -> None:
    window, _ = windows()
    prefixes, items = inputs(model)
    changed = Windows(window.rows.copy(), window.types, window.gaps, window.positions, window.lengths)
    changed.rows[4, 20:] = 0
    with torch.no_grad():
        before = model.towers.user(prefixes, window, items)[4]
        after = model.towers.user(prefixes, changed, items)[4]
    torch.testing.assert_close(before[:21], after[:21], atol=1e-6, rtol=0)
    assert (before[21:] - after[21:]).abs().max() > 1e-3


def test_item_vectors_are_linear_in_the_representation(model: Model) -> None:
    representations = torch.randn(3, model.options.width)
    project = model.towers.item.project
    with torch.no_grad():
        torch.testing.assert_close(project(2 * representations), 2 * project(representations))


def test_identity_dropout_leaves_the_unknown_identity_and_the_attributes(model: Model) -> None:
    bags = model.encoder.encode_items(["film-1"], [{"genres": ["drama"]}])
    unseen = model.encoder.encode_items(["unseen"], [{"genres": ["drama"]}])
    bag = model.towers.item.bag
    with torch.no_grad():
        torch.testing.assert_close(bag(bags, id_dropout=1.0), bag(unseen))
        assert (bag(bags) - bag(unseen)).abs().max() > 1e-3
