"""Losses over (P, d) users and (N, d) items; the target of row k is item `targets[k]`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK_ROWS = 512


def full_softmax(users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the whole catalogue.

    Its gradient is computed along with it, chunk by chunk, so that the (P, N) logits never exist at
    once: on a CPU that is twice as fast, for a chunk stays in the cache (as Liger's fused linear
    cross-entropy does on a GPU, Hsu 2024).
    """
    loss: Tensor = _FusedCrossEntropy.apply(users, items, targets)  # type: ignore[no-untyped-call]
    return loss


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        to_users, to_items = torch.empty_like(users), torch.zeros_like(items)
        total = users.new_zeros(())
        for start in range(0, len(users), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            logits, wanted = users[chunk] @ items.T, targets[chunk, None]
            peak = logits.amax(1, keepdim=True)
            right = logits.gather(1, wanted) - peak
            mass = logits.sub_(peak).exp_().sum(1, keepdim=True)
            total += (mass.log() - right).sum()
            error = logits.div_(mass).scatter_add_(1, wanted, -torch.ones_like(mass))
            torch.mm(error, items, out=to_users[chunk])
            to_items.addmm_(error.T, users[chunk])
        ctx.save_for_backward(to_users / len(users), to_items / len(users))
        return total / len(users)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        to_users, to_items = ctx.saved_tensors
        return to_users * gradients[0], to_items * gradients[0], None


def sampled_softmax(
    users: Tensor, items: Tensor, targets: Tensor, sampled: Tensor, log_probability: Tensor
) -> Tensor:
    """Mean cross-entropy over the target and `sampled` (K,) items, for large catalogues.

    `log_probability` (N,) is the log of how likely one draw gives an item. Subtracting it (logQ
    correction, Bengio and Senécal 2008) makes the gradient that of the full softmax in the limit.
    """
    right = (users * items[targets]).sum(1, keepdim=True) - log_probability[targets, None]
    others = users @ items[sampled].T - log_probability[sampled]
    others = others.masked_fill(targets[:, None] == sampled, -torch.inf)
    logits = torch.cat([right, others], dim=1)
    return functional.cross_entropy(logits, torch.zeros_like(targets))
