from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kindred.embedding.attention import attended, turned, turns
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
        tokens.append(token + tower.gaps.weight[window.gaps[row, at]])
    hidden = torch.stack(tokens)
    for block in tower.blocks:
        query, key, value = (norm(hidden, block.attention_norm.weight) @ block.qkv.weight.T).chunk(3, dim=-1)
        mixed = torch.zeros_like(query)
        for head in torch.arange(query.shape[1]).chunk(heads):
            keys = torch.stack([rotation(at, len(head)) @ key[at, head] for at in range(len(hidden))])
            for at in range(len(hidden)):
                scores = keys[: at + 1] @ (rotation(at, len(head)) @ query[at, head]) / len(head) ** 0.5
                mixed[at, head] = scores.softmax(0) @ value[: at + 1, head]
        gate = 1 / (1 + (-hidden @ block.attention_gate.weight.T).exp())
        hidden = hidden + gate * (mixed @ block.attention_output.weight.T)
        inner = (norm(hidden, block.feed_forward_norm.weight) @ block.expand.weight.T).clamp(min=0)
        gate = 1 / (1 + (-hidden @ block.feed_forward_gate.weight.T).exp())
        hidden = hidden + gate * (inner @ block.contract.weight.T)
    user = norm(hidden, tower.norm.weight) @ tower.output.weight.T
    return user / user.norm(dim=-1, keepdim=True)


def rotation(place: int, width: int) -> Tensor:
    """The matrix of RoFormer's equation 15: plane i turns by place / 10000^(2i / width)."""
    planes = []
    for plane in range(width // 2):
        angle = torch.tensor(place / 10_000 ** (2 * plane / width))
        planes.append(torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2))
    return torch.block_diag(*planes)


def norm(tokens: Tensor, weight: Tensor) -> Tensor:
    centred = tokens - tokens.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


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


def test_turned_queries_and_keys_see_distances_only() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8)
    angles = turns(30, 8, torch.device("cpu"))
    products = [turned(query, angles[at]) @ turned(key, angles[at - 4]).mT for at in (4, 11, 29)]
    torch.testing.assert_close(products[0], products[1])
    torch.testing.assert_close(products[0], products[2])


def test_attention_is_the_same_sum_in_training() -> None:
    parts = [torch.randn(3, 2, 7, 8) for _ in range(3)]
    served = attended(*parts)
    trained = attended(*(part.requires_grad_() for part in parts))
    torch.testing.assert_close(served, trained)


def test_no_position_sees_its_future(model: Model) -> None:
    window, _ = windows()
    prefixes, items = inputs(model)
    changed = Windows(window.rows.copy(), window.types, window.gaps, window.lengths)
    changed.rows[4, 20:] = 0
    with torch.no_grad():
        before = model.towers.user(prefixes, window, items)[4]
        after = model.towers.user(prefixes, changed, items)[4]
    torch.testing.assert_close(before[:21], after[:21], atol=1e-6, rtol=0)
    assert (before[21:] - after[21:]).abs().max() > 1e-3


def test_what_stands_in_the_padding_changes_nothing(model: Model) -> None:
    window, _ = windows()
    prefixes, items = inputs(model)
    padded = np.arange(window.rows.shape[1]) >= window.lengths[:, None]
    rubbish = Windows(
        *(np.where(padded, 3, column) for column in (window.rows, window.types, window.gaps)),
        window.lengths,
    )
    assert (rubbish.rows != window.rows).any()
    tower = model.towers.user
    with torch.no_grad():
        before, after = tower(prefixes, window, items), tower(prefixes, rubbish, items)
        for row, length in enumerate(LENGTHS):
            torch.testing.assert_close(after[row, : length + 1], before[row, : length + 1], atol=1e-6, rtol=0)
        newest = tower.newest(prefixes, rubbish, items)
        torch.testing.assert_close(newest, tower.newest(prefixes, window, items), atol=1e-6, rtol=0)


def test_the_item_tower_equals_the_formulas(model: Model) -> None:
    ids = ["film-3", "never seen", None]
    bags = model.encoder.encode_items(
        ids, [{"genres": ["g1", "drama"], "year": 1960}, {"actors": ["a1"]}, None]
    )
    tower = model.towers.item
    table, output = tower.bag.tokens.detach().numpy(), tower.output.weight.detach().numpy()
    ends = [*bags.offsets[1:], len(bags.tokens)]
    for row, (start, end) in enumerate(zip(bags.offsets, ends, strict=True)):
        expected = sum(bags.weights[at] * table[bags.tokens[at]] for at in range(start, end))
        with torch.no_grad():
            found = tower(bags)[row]
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
            vector = output @ expected / model.options.temperature
            np.testing.assert_allclose(tower.project(found).numpy(), vector, atol=1e-4)


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
