"""A training run as it goes, epoch by epoch: what it has learned, the best of it, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from kindred.embedding.manifest import Epoch
from kindred.embedding.model import Model
from kindred.training import demand
from kindred.training.learner import Learner, OnShare
from kindred.training.options import TrainingOptions
from kindred.training.saved_run import SavedRun, Story, Tensors

Ending = Literal["epochs", "patience", "budget", "interrupted"]
Validate = Callable[[Model], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Progress:
    """After each epoch. `share` of the whole run, by epochs or by the time budget."""

    epoch: int  # from 1
    epochs: int
    share: float
    loss: float
    ndcg_at_10: float
    hr_at_10: float
    seconds: float


OnProgress = Callable[[Progress], None]


class Run:
    """Owns a learner until its training ends. With `saved`, goes on from there and keeps its state there."""

    def __init__(
        self, learner: Learner, options: TrainingOptions, validate: Validate, saved: SavedRun | None = None
    ) -> None:
        self._learner, self._options, self._validate, self._saved = learner, options, validate, saved
        self._best: dict[str, Tensor] = {}
        self.epochs: list[Epoch] = []
        self.best_epoch, self.metrics = 0, dict[str, float]()
        self._half_at: int | None = None  # the epoch that reached the second half
        if saved and (state := saved.read()):
            try:
                self._restore(*state)
            except (KeyError, RuntimeError) as error:  # of another version, whose towers were others
                raise saved.refusal(error) from error

    def finish(self, on_progress: OnProgress | None = None, on_share: OnShare | None = None) -> Ending:
        """Run epochs until they no longer help, or the budget or the person (Ctrl-C) ends it.

        KeyboardInterrupt passes only while there is no epoch that could be kept.
        """
        try:
            while (ending := self._ending()) is None:
                self._advance(on_progress, on_share)
        except KeyboardInterrupt:
            if not self._best:
                raise
            return "interrupted"
        return ending

    def best_model(self) -> Model:
        """The model as of the epoch that validated best; the last one, where nothing can be validated."""
        model = self._learner.averaged
        model.towers.load_state_dict(self._best)
        model.towers.eval()
        return model

    def _ending(self) -> Ending | None:
        if not self.epochs:
            return None
        done = len(self.epochs)
        if done >= self._options.epochs:
            return "epochs"
        if self._learner.share_done >= 1:
            return "budget"
        return "patience" if self._idle_epochs() >= self._options.patience else None

    def _idle_epochs(self) -> int:
        """Epochs in a row that were no better, as far as patience counts them."""
        if not any(self.metrics.values()):
            return 0
        since = self.best_epoch
        if self._options.half_life_days is not None:
            # What that is for comes in the second half, so the first one must not end the training.
            since = max(since, self._half_at or len(self.epochs))
        return len(self.epochs) - since

    def _advance(self, on_progress: OnProgress | None, on_share: OnShare | None) -> None:
        learner, number = self._learner, len(self.epochs) + 1
        loss = learner.run_epoch(number, on_share)
        if self._half_at is None and learner.share_done >= demand.BEGINS:
            self._half_at = number
        measured = self._validate(learner.averaged)
        ndcg, hr = measured["ndcg@10"], measured["hr@10"]
        if self._is_better(measured):
            self._best, self.best_epoch, self.metrics = _copied(learner.averaged), number, measured
        self.epochs.append(Epoch(number, None if math.isnan(loss) else loss, learner.seconds, ndcg, hr))
        if self._saved:
            self._save(self._saved)
        if on_progress:
            share, epochs = learner.share_done, self._options.epochs
            on_progress(Progress(number, epochs, share, loss, ndcg, hr, learner.seconds))

    def _is_better(self, measured: dict[str, float]) -> bool:
        if not self._best or not any(measured.values()):  # the last one ships where nothing can be validated
            return True
        return _quality(measured) > _quality(self.metrics)

    def _save(self, saved: SavedRun) -> None:
        learner = self._learner
        story = Story(
            self.epochs, self.best_epoch, self.metrics, learner.share_done, learner.seconds, self._half_at
        )
        saved.write(story, {"learner": learner.state(), "best": self._best})

    def _restore(self, story: Story, tensors: Tensors) -> None:
        self.epochs, self.best_epoch, self.metrics = list(story.epochs), story.best_epoch, story.metrics
        self._best, self._half_at = tensors["best"], story.half_at
        self._learner.restore(tensors["learner"], story.share_done, story.seconds)


def _quality(metrics: dict[str, float]) -> tuple[float, float]:
    # In a large catalogue NDCG@10 may long be 0, while every rank moves MRR.
    return metrics["ndcg@10"], metrics["mrr"]


def _copied(model: Model) -> dict[str, Tensor]:
    return deepcopy(model.towers.state_dict())
