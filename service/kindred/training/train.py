"""The log -> a checkpoint: next-item prediction, both towers jointly.

The same log, options and number of threads give the same model, unless a time budget cuts it short.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.embedder import Embedder
from kindred.embedding.features import fit_vocabulary
from kindred.embedding.model import Model, build
from kindred.errors import Misconfigured
from kindred.training.evaluate import ModelScorer, from_time, leave_one_out, metrics, ranks
from kindred.training.event_log import EventLog, target_events
from kindred.training.learner import Learner
from kindred.training.options import TrainingOptions


@dataclass(frozen=True, slots=True)
class Progress:
    """After each epoch. `share` of the whole run, by epochs or by the time budget."""

    epoch: int  # from 1
    epochs: int
    share: float
    loss: float
    ndcg_at_10: float
    seconds: float


OnProgress = Callable[[Progress], None]


def train(
    log: EventLog,
    declaration: Declaration,
    options: TrainingOptions,
    directory: Path,
    *,
    now: datetime,
    on_progress: OnProgress | None = None,
) -> Path:
    """Train and write a checkpoint; returns its directory.

    Ctrl-C ends early and keeps the best epoch; KeyboardInterrupt passes only before the first is done.
    Raises Misconfigured when the log has nothing to learn from.
    """
    model, measured = fit(log, declaration, options, on_progress)
    checkpoint.save(model, directory, now=now, trained_on=log.training_range(), metrics=measured)
    return directory


def fit(
    log: EventLog, declaration: Declaration, options: TrainingOptions, on_progress: OnProgress | None = None
) -> tuple[Model, dict[str, float]]:
    """The best model by validation, in memory, and its validation metrics."""
    torch.set_num_threads(options.threads)
    training, cases = _split(log, declaration, options)
    targets = target_events(training, declaration)
    if not targets.any():
        raise Misconfigured(
            "There is nothing to learn from: the log has no event of a positive type on an item that is "
            "new to its user. Check the roles in the declaration, and that the log is the right one."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        learner = Learner(_fresh_model(training, declaration, options), training, targets, options)
        return _best_epoch(learner, options, log, cases, on_progress)


def _best_epoch(
    learner: Learner,
    options: TrainingOptions,
    log: EventLog,
    cases: NDArray[np.int64],
    on_progress: OnProgress | None,
) -> tuple[Model, dict[str, float]]:
    """Run epochs until they no longer help, or the budget or the person ends it."""
    best, started = _Best(learner.model), time.monotonic()
    try:
        for epoch in range(1, options.epochs + 1):
            loss = learner.run_epoch(epoch)
            measured = _validate(learner.model, log, cases, options)
            best.offer(epoch, measured)
            if on_progress:
                seconds, share = time.monotonic() - started, learner.share_done
                on_progress(Progress(epoch, options.epochs, share, loss, measured["ndcg@10"], seconds))
            if learner.share_done >= 1 or (len(cases) and epoch - best.epoch >= options.patience):
                break
    except KeyboardInterrupt:
        if not best.epoch:  # nothing learned yet that could be kept
            raise
    return best.restored(), best.metrics


class _Best:
    """The weights of the best epoch so far; of the last one, where nothing can be validated."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._weights = model.towers.state_dict()
        self.epoch, self.metrics = 0, dict[str, float]()

    def offer(self, epoch: int, measured: dict[str, float]) -> None:
        if not self.epoch or measured["ndcg@10"] > self.metrics["ndcg@10"] or not any(measured.values()):
            self.epoch, self.metrics = epoch, measured
            self._weights = deepcopy(self._model.towers.state_dict())

    def restored(self) -> Model:
        self._model.towers.load_state_dict(self._weights)
        self._model.towers.eval()
        return self._model


def _validate(
    model: Model, log: EventLog, cases: NDArray[np.int64], options: TrainingOptions
) -> dict[str, float]:
    embedder = Embedder(model, "validation", threads=options.threads)
    return metrics(ranks(log, model.declaration, cases, ModelScorer(embedder, log)))


def _fresh_model(log: EventLog, declaration: Declaration, options: TrainingOptions) -> Model:
    """Items and attribute values that the training log names, and no others."""
    numbers = np.unique(log.items).tolist()
    users = np.flatnonzero(np.diff(log.offsets)).tolist()
    vocabulary = fit_vocabulary(
        declaration,
        [log.item_ids[number] for number in numbers],
        [log.attributes[number] or {} for number in numbers],
        [log.profiles[user] for user in users],
    )
    return build(declaration, vocabulary, options.towers, options.seed)


def _split(
    log: EventLog, declaration: Declaration, options: TrainingOptions
) -> tuple[EventLog, NDArray[np.int64]]:
    """The log to train on, and events of the whole log to validate on (a seeded sample of them)."""
    if options.validation_by == "last_target":
        cases = leave_one_out(log, declaration)
        newest = np.full(len(log.user_ids), len(log))
        newest[log.users[cases]] = cases
        training = log.where(np.arange(len(log)) < newest[log.users])
    else:
        boundary_us = log.time_at(1.0 - options.validation_share) if len(log) else 0
        cases, training = from_time(log, declaration, boundary_us), log.before(boundary_us)
    few = min(len(cases), options.validation_cases)
    return training, np.sort(np.random.default_rng(options.seed).choice(cases, few, replace=False))
