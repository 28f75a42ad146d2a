"""The chosen loss: which items compete in a step, and what the step makes small."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kindred.embedding.vocabulary import Bags
from kindred.training.losses import full_softmax, repelled, sampled_softmax, triplet
from kindred.training.options import LossName, TrainingOptions
from kindred.training.precision import chosen_precision


class Competition:
    """The items that one step compares, as rows of the item table; row 0, the unknown item, is in it.

    A step of the full softmax compares the whole catalogue. For the others the towers compute only what the
    step reads; the optimiser still goes over every item's own weights.
    """

    def __init__(
        self, bags: Bags, log_probability: Tensor, drawn: NDArray[np.int64] | None, *read: NDArray[np.int64]
    ) -> None:
        self._rows = None if drawn is None else np.unique(np.concatenate([[0], drawn, *map(np.ravel, read)]))
        self.bags = bags if self._rows is None else bags.take(self._rows)
        self.log_probability = log_probability if self._rows is None else log_probability[self._rows[1:] - 1]
        self.drawn = None if drawn is None else self.numbers(drawn)

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these rows of the item table stand in `bags`."""
        return rows if self._rows is None else np.searchsorted(self._rows, rows)

    def numbers(self, rows: NDArray[np.int64]) -> Tensor:
        """Where known items stand among the candidates, which the unknown one is not."""
        return torch.from_numpy(self.places(rows) - 1)


class Objective:
    """Draws candidates, and compares. `log_probability` (N,): the log of each item's share of the targets."""

    def __init__(self, options: TrainingOptions, log_probability: Tensor) -> None:
        self.loss = chosen_loss(options, len(log_probability))
        self._options, self._precision = options, chosen_precision(options.precision)
        self._probability = log_probability.exp()

    def drawn(self, targets: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Rows (K,) of the items that compete with the step's `targets`, drawn by popularity; None: all."""
        if self.loss == "full":
            return None
        if self.loss == "in-batch":
            return targets
        drawn = torch.multinomial(self._probability, self._options.sampled_items, replacement=True)
        return drawn.numpy() + 1

    def __call__(
        self, users: Tensor, items: Tensor, next_items: Tensor, wanted: Tensor, among: Competition
    ) -> Tensor:
        """The loss of (P, d) users and the items (P,) that came next: `wanted`, or disliked."""
        near, far = next_items[wanted], next_items[~wanted]
        # A sum of nothing is a zero that a step can be taken on all the same.
        loss = self._drawn_near(users[wanted], items, near, among) if len(near) else users[:0].sum()
        if len(far) and self._options.negative_weight:
            pushed = repelled(users[~wanted], items, far, among.drawn, among.log_probability)
            loss = loss + self._options.negative_weight * pushed * (len(far) / max(len(near), 1))
        return loss

    def _drawn_near(self, users: Tensor, items: Tensor, targets: Tensor, among: Competition) -> Tensor:
        if among.drawn is None:
            return full_softmax(users, items, targets, self._precision)
        if self.loss == "triplet":
            semi_hard = self._options.triplet_negatives == "semi-hard"
            return triplet(users, items, targets, among.drawn, self._options.triplet_margin, semi_hard)
        return sampled_softmax(users, items, targets, among.drawn, among.log_probability)


def chosen_loss(options: TrainingOptions, items: int) -> LossName:
    """The loss that "auto" means for a catalogue of this many items."""
    if options.loss != "auto":
        return options.loss
    return "full" if items <= options.full_softmax_items else "sampled"
