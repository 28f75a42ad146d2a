"""The log -> a checkpoint: next-item prediction, both towers jointly.

The same log, options and number of threads give the same model, unless a time budget cuts it short.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.embedder import Embedder
from kindred.embedding.features import fit_vocabulary, read_of
from kindred.embedding.manifest import HeldOut, TrainingRun
from kindred.embedding.model import Model, build
from kindred.training.alignment import read_space, settle
from kindred.training.evaluate import ModelScorer, from_time, leave_one_out, metrics, ranks
from kindred.training.event_log import EventLog
from kindred.training.groups import Judged, judged
from kindred.training.holdout import before_last_target
from kindred.training.labels import wanted_and_unwanted
from kindred.training.learner import Learner, OnShare
from kindred.training.options import LossName, TrainingOptions
from kindred.training.precision import meant
from kindred.training.run import OnProgress, Run
from kindred.training.saved_run import SavedRun


class Fitted(NamedTuple):
    """A model, its validation metrics, how it came about, and what it was judged by."""

    model: Model
    metrics: dict[str, float]
    training: TrainingRun
    judged: Judged


def train(
    log: EventLog,
    declaration: Declaration,
    options: TrainingOptions,
    directory: Path,
    *,
    now: datetime,
    held_out: HeldOut | None = None,
    on_progress: OnProgress | None = None,
    on_share: OnShare | None = None,
    saved: SavedRun | None = None,
    align_to: Path | None = None,
    with_card: bool = False,
) -> Path:
    """Train and write a checkpoint; returns its directory.

    Ctrl-C ends early and keeps the best epoch; KeyboardInterrupt passes only before the first is done.
    `held_out` is what the caller took out of the log before. With `saved`, goes on from what is there.
    `align_to` is a checkpoint in whose vector space the model shall stay. `with_card`: a model card, too.
    Raises Misconfigured when the log has nothing to learn from or `directory` may not be replaced,
    ModelMismatch for an `align_to` that is no checkpoint.
    """
    try:
        checkpoint.check_replaceable(directory)
        space = read_space(align_to) if align_to else None
        fitted = fit(log, declaration, options, on_progress, on_share, saved)
    finally:
        if saved and not saved.exists:
            saved.discard()  # nothing yet that one could go on from
    lineage, anchor = settle(fitted.model, log, space)
    manifest = checkpoint.save(
        fitted.model,
        directory,
        now=now,
        trained_on=log.training_range(),
        metrics=fitted.metrics,
        held_out=held_out,
        training=fitted.training,
        lineage=lineage,
        anchor=anchor,
    )
    if with_card:
        from kindred.training import card  # plots need matplotlib, which the demo does without

        card.write(directory, manifest, fitted.judged)
    if saved and fitted.training.ended != "interrupted":
        saved.discard()
    return directory


def fit(
    log: EventLog,
    declaration: Declaration,
    options: TrainingOptions,
    on_progress: OnProgress | None = None,
    on_share: OnShare | None = None,
    saved: SavedRun | None = None,
) -> Fitted:
    """The best model by validation, in memory."""
    torch.set_num_threads(options.threads)
    training, cases = _split(log, declaration, options)
    wanted, unwanted = wanted_and_unwanted(training, declaration)
    with torch.random.fork_rng(devices=[]):
        model = fresh_model(training, declaration, options)
        learner = Learner(model, training, wanted, options, unwanted)
        run = Run(learner, options, lambda model: metrics(_ranks(model, log, cases, options)), saved)
        ending = run.finish(on_progress, on_share)
        used = _used(options, learner.loss)
        learned, best = TrainingRun(used, run.epochs, ending, run.best_epoch), run.best_model()
        found = judged(log, declaration, training, cases, _ranks(best, log, cases, options))
        return Fitted(best, run.metrics, learned, found)


def _used(options: TrainingOptions, loss: LossName) -> dict[str, Any]:
    """The options as they were understood here: "auto" may mean another precision, or loss, elsewhere."""
    chosen = msgspec.structs.replace(options, precision=meant(options.precision), loss=loss)
    used: dict[str, Any] = msgspec.to_builtins(chosen)
    return used


def _ranks(
    model: Model, log: EventLog, cases: NDArray[np.int64], options: TrainingOptions
) -> NDArray[np.int64]:
    embedder = Embedder(model, "validation", threads=options.threads)
    return ranks(log, model.declaration, cases, ModelScorer(embedder, log))


def fresh_model(log: EventLog, declaration: Declaration, options: TrainingOptions) -> Model:
    """An untrained one, which knows the items and attribute values that the training log names.

    A removed item is unknown, as it is to a worker that reads it in a history.
    """
    named = np.unique(log.items)
    numbers = named[~log.removed[named]].tolist()
    users = np.flatnonzero(np.diff(log.offsets)).tolist()
    vocabulary = fit_vocabulary(
        declaration,
        (log.item_ids[number] for number in numbers),
        (read_of(log.item(number), declaration.item) or {} for number in numbers),
        (log.profiles[user] for user in users),
    )
    return build(declaration, vocabulary, options.towers, options.seed)


def _split(
    log: EventLog, declaration: Declaration, options: TrainingOptions
) -> tuple[EventLog, NDArray[np.int64]]:
    """The log to train on, and events of the whole log to validate on (a seeded sample of them)."""
    if not options.validation_share:
        return log, np.zeros(0, np.int64)
    if options.validation_by == "last_target":
        cases = leave_one_out(log, declaration)
        training = log.where(before_last_target(log, declaration))
    else:
        boundary_us = log.time_at(1.0 - options.validation_share) if len(log) else 0
        cases, training = from_time(log, declaration, boundary_us), log.before(boundary_us)
    few = min(len(cases), options.validation_cases)
    return training, np.sort(np.random.default_rng(options.seed).choice(cases, few, replace=False))
