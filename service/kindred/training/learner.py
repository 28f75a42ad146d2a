"""The optimisation: batches of samples through both towers, and one step of AdamW for each."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kindred.embedding.features import Events
from kindred.embedding.memory import keep_freed_buffers
from kindred.embedding.model import Model
from kindred.embedding.vocabulary import Bags
from kindred.training.event_log import EventLog
from kindred.training.losses import full_softmax, sampled_softmax
from kindred.training.options import TrainingOptions
from kindred.training.samples import Batch, batches, cut

_MAX_GRADIENT_NORM = 1.0


class Learner:
    """Owns a model while it learns from `log`, whose events marked in `targets` it predicts."""

    def __init__(
        self, model: Model, log: EventLog, targets: NDArray[np.bool_], options: TrainingOptions
    ) -> None:
        keep_freed_buffers()
        self.model = model
        self._log, self._targets, self._options = log, targets, options
        self.events, self._items = _encoded(model, log)
        self._profiles = model.encoder.encode_profiles(log.user_ids, log.profiles)
        self._log_probability = _log_frequency(self.events.rows[targets], len(self._items.offsets))
        self._optimizer = torch.optim.AdamW(
            model.towers.parameters(), weight_decay=options.weight_decay, fused=True
        )
        self._rng = np.random.default_rng(options.seed)
        self._started = time.monotonic()
        self.share_done = 0.0

    def run_epoch(self, epoch: int) -> float:
        """One pass over all targets (`epoch` counts from 1); returns the mean loss of its steps.

        Ends within the epoch when the time budget is spent.
        """
        self.model.towers.train()
        samples = cut(self._log, self.model.options.max_length, self._rng)
        size = self._options.batch_windows
        steps = math.ceil(len(samples.users) / size)
        losses = []
        for step, batch in enumerate(batches(samples, self.events, self._targets, size, self._rng)):
            self.share_done = self._share((epoch - 1 + step / steps) / self._options.epochs)
            if self.share_done >= 1:
                break
            losses.append(self._step(batch))
        self.share_done = self._share(epoch / self._options.epochs)
        return float(np.mean(losses)) if losses else math.nan

    def user_vectors(self, batch: Batch) -> Tensor:
        """(n, 1 + S, d): every user of the batch after 0, 1, … S interactions."""
        return self._user_vectors(batch, self.model.towers.item(self._items))

    def _user_vectors(self, batch: Batch, representations: Tensor) -> Tensor:
        tower = self.model.towers.user
        prefixes = tower.profile(self._profiles.take(batch.users))
        vectors: Tensor = tower(prefixes, batch.windows, representations)
        return vectors

    def _share(self, by_epochs: float) -> float:
        # The schedule must have come to its end when the budget is spent, whichever is first.
        if self._options.max_minutes is None:
            return by_epochs
        return max(by_epochs, (time.monotonic() - self._started) / (60 * self._options.max_minutes))

    def _step(self, batch: Batch) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * warm_cosine(
                self.share_done, self._options.warm_up_share
            )
        loss = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.towers.parameters(), _MAX_GRADIENT_NORM)
        self._optimizer.step()
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        representations = self.model.towers.item(self._items)
        positions = self._user_vectors(batch, representations)
        users = positions[torch.from_numpy(batch.rows), torch.from_numpy(batch.positions)]
        # Row 0, the unknown item, is read by histories but is no candidate.
        catalogue = self.model.towers.item.project(representations[1:])
        targets = torch.from_numpy(self.events.rows[batch.events] - 1)
        if len(catalogue) <= self._options.full_softmax_items:
            return full_softmax(users, catalogue, targets)
        drawn = torch.multinomial(self._log_probability.exp(), self._options.sampled_items, replacement=True)
        return sampled_softmax(users, catalogue, targets, drawn, self._log_probability)


def warm_cosine(share: float, warm_up_share: float) -> float:
    """Factor on the learning rate: linear from 0 to 1, then half a cosine back to 0."""
    if share < warm_up_share:
        return max(share, 0.01 * warm_up_share) / warm_up_share
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warm_up_share) / (1 - warm_up_share))))


def _encoded(model: Model, log: EventLog) -> tuple[Events, Bags]:
    """The log in the model's numbers, and the bags of the unknown item (row 0) and all known ones."""
    known = model.encoder.vocabulary.item_ids
    row_of = {item_id: row for row, item_id in enumerate(known, start=1)}
    rows = np.array([row_of.get(item_id, 0) for item_id in log.item_ids], np.int64)
    attributes = dict(zip(log.item_ids, log.attributes, strict=True))
    bags = model.encoder.encode_items([None, *known], [None, *(attributes[item_id] for item_id in known)])
    types = model.encoder.type_numbers(log.type_names)
    return Events(rows[log.items], types[log.types], log.times_us), bags


def _log_frequency(rows: NDArray[np.int64], row_count: int) -> Tensor:
    # One is added, so that an item without targets can be drawn as a negative too.
    counts = np.bincount(rows, minlength=row_count)[1:] + 1.0
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
