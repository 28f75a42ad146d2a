"""Losses over (P, d) users and (N, d) items; the target of row k is item `targets[k]`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CHUNK_ROWS = 256
_LARGEST_LOGIT = 80.0  # float32 and bfloat16 hold exp of no more than 88


def full_softmax(users: Tensor, items: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Mean cross-entropy over the whole catalogue, its large products in `dtype`.

    Its gradient is computed along with it, chunk by chunk, so that the (P, N) logits never exist at
    once: on a CPU that is twice as fast, for a chunk stays in the cache (as Liger's fused linear
    cross-entropy does on a GPU, Hsu 2024).
    """
    loss: Tensor = _FusedCrossEntropy.apply(users, items, targets, dtype)  # type: ignore[no-untyped-call]
    return loss


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        # Of all N columns only the products and one power are taken; the division by a row's mass and
        # the target's own share are left to the small (P, d) sides.
        small = bool(users.norm(dim=1).amax() * items.norm(dim=1).amax() < _LARGEST_LOGIT)
        own = items[targets]
        # A power of 2 is cheaper than one of e.
        rows, powers, columns = users.to(dtype), (items.T / math.log(2)).to(dtype), items.to(dtype)
        to_users, to_items = torch.empty_like(users), torch.zeros_like(items)
        log_mass = users.new_empty(len(users), 1)
        for start in range(0, len(users), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            logits = rows[chunk] @ powers
            peak = logits.new_zeros(()) if small else logits.amax(1, keepdim=True)
            shares = logits.exp2_() if small else logits.sub_(peak).exp2_()
            mass = shares.sum(1, keepdim=True, dtype=users.dtype)
            log_mass[chunk] = mass.log() + peak * math.log(2)
            to_users[chunk] = (shares @ columns) / mass
            to_items += shares.T @ (users[chunk] / mass).to(dtype)
        to_items.index_add_(0, targets, users, alpha=-1)
        ctx.save_for_backward((to_users - own) / len(users), to_items / len(users))
        return (log_mass[:, 0] - (users * own).sum(1)).mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        to_users, to_items = ctx.saved_tensors
        return to_users * gradients[0], to_items * gradients[0], None, None


def sampled_softmax(
    users: Tensor, items: Tensor, targets: Tensor, sampled: Tensor, log_probability: Tensor
) -> Tensor:
    """Mean cross-entropy of the target against `sampled` (K,) items, for large catalogues.

    `log_probability` (N,) is the log of how likely one draw gives an item: by it the sample's mass becomes an
    estimate of all the others' (logQ correction, Bengio and Senécal 2008). The target was not drawn, and is
    not corrected (Khrylchenko 2025), so that the loss is the full softmax in the limit. Of the batch's own
    targets it is the in-batch contrastive loss (InfoNCE, van den Oord 2018; corrected, as in Yi 2019).
    """
    own = (users * items[targets]).sum(1)
    return functional.softplus(_log_mass(users, items, targets, sampled, log_probability) - own).mean()


def repelled(
    users: Tensor,
    items: Tensor,
    unwanted: Tensor,
    sampled: Tensor | None = None,
    log_probability: Tensor | None = None,
) -> Tensor:
    """Mean of -log(1 - p), p the softmax probability of what a user disliked next.

    Unlikelihood (Welleck 2020), over the whole catalogue, or estimated from `sampled` (K,) items: p / (1 - p)
    is the own mass over that of the others. 0 for a row whose sample holds no other item.
    """
    if sampled is None or log_probability is None:
        chunks = zip(torch.split(users, _CHUNK_ROWS), torch.split(unwanted, _CHUNK_ROWS), strict=True)
        return torch.cat([_of_all_items(*chunk, items) for chunk in chunks]).mean()
    compared = (unwanted[:, None] != sampled).any(1)  # the others' mass would be 0, and the loss infinite
    users, unwanted, count = users[compared], unwanted[compared], len(users)
    own = (users * items[unwanted]).sum(1)
    others = _log_mass(users, items, unwanted, sampled, log_probability)
    return functional.softplus(own - others).sum() / max(count, 1)


def _of_all_items(users: Tensor, unwanted: Tensor, items: Tensor) -> Tensor:
    """-log(1 - p) of each row; its logits over the catalogue are computed again for the gradient."""
    loss: Tensor = checkpoint(_unlikelihoods, users, unwanted, items, use_reentrant=False)
    return loss


def _unlikelihoods(users: Tensor, unwanted: Tensor, items: Tensor) -> Tensor:
    everything = users @ items.T
    own = everything.gather(1, unwanted[:, None])[:, 0]
    others = everything.scatter(1, unwanted[:, None], -torch.inf)
    return functional.softplus(own - others.logsumexp(1))


def _log_mass(users: Tensor, items: Tensor, own: Tensor, sampled: Tensor, log_probability: Tensor) -> Tensor:
    """(P,): the log of what all items but each row's own weigh, as `sampled` (K,) of them let one expect."""
    masses = users @ items[sampled].T - log_probability[sampled] - math.log(max(len(sampled), 1))
    return masses.masked_fill(own[:, None] == sampled, -torch.inf).logsumexp(1)


def triplet(
    users: Tensor, items: Tensor, targets: Tensor, sampled: Tensor, margin: float, semi_hard: bool
) -> Tensor:
    """Mean of max(0, margin - target's score + negative's score), one negative a row out of `sampled` (K,).

    Semi-hard (Schroff 2015): the highest negative that still scores below the target, or the lowest
    where none does. Otherwise row k takes the sample k modulo K.
    """
    right = (users * items[targets]).sum(1)
    if semi_hard:
        negatives = _semi_hard(users @ items[sampled].T, right, targets[:, None] == sampled)
    else:
        chosen = sampled[torch.arange(len(users), device=users.device) % len(sampled)]
        negatives = (users * items[chosen]).sum(1).masked_fill(chosen == targets, -torch.inf)
    return functional.relu(margin - right + negatives).mean()


def _semi_hard(scores: Tensor, right: Tensor, collides: Tensor) -> Tensor:
    below = scores.masked_fill(collides | (scores >= right[:, None]), -torch.inf).amax(1)
    lowest = scores.masked_fill(collides, torch.inf).amin(1)
    negatives = torch.where(below.isinf(), lowest, below)
    return negatives.masked_fill(negatives.isinf(), -torch.inf)  # nothing but collisions: no loss
