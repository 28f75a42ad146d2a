from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.embedding.manifest import Epoch, TrainingRun
from kindred.training.learner import Learner
from kindred.training.options import TrainingOptions
from kindred.training.run import Progress, Run
from kindred.training.saved_run import Plan, SavedRun
from kindred.training.train import fresh_model
from logs import log_of

HIT = {"hr@10": 0.0}
LOG = log_of(("u", "a", 0), ("u", "b", 1), ("v", "b", 0), ("v", "a", 1))


def run_of(
    declaration: Declaration,
    options: TrainingOptions,
    measured: Iterable[tuple[float, float]],
    saved: SavedRun | None = None,
) -> Run:
    """A run whose epochs validate with these NDCG@10 and MRR."""
    each = iter(measured)
    learner = Learner(fresh_model(LOG, declaration, options), LOG, np.ones(len(LOG), bool), options)
    return Run(
        learner, options, lambda model: dict(zip(("ndcg@10", "mrr"), next(each), strict=True)) | HIT, saved
    )


@pytest.mark.parametrize(
    ("measured", "best"),
    [
        (((0.0, 0.001), (0.0, 0.003), (0.0, 0.002)), 2),
        (((0.2, 0.1), (0.1, 0.3), (0.2, 0.2)), 3),
        (((0.2, 0.1), (0.2, 0.1), (0.2, 0.1)), 1),
        (((0.0, 0.0), (0.0, 0.0), (0.0, 0.0)), 3),  # nothing can be validated
    ],
)
def test_the_best_epoch_is_that_of_the_best_ndcg_and_then_mrr(
    film_shop: Declaration, measured: tuple[tuple[float, float], ...], best: int
) -> None:
    run = run_of(film_shop, TrainingOptions(epochs=3), measured)
    run.finish()
    assert run.best_epoch == best


def test_patience_is_not_lost_while_only_the_mrr_grows(film_shop: Declaration) -> None:
    growing = [(0.0, 0.001 * at) for at in range(1, 7)]
    run = run_of(film_shop, TrainingOptions(epochs=6, patience=2), growing)
    assert run.finish() == "epochs"


def test_patience_with_a_half_life_remembers_the_second_half_over_a_pause(
    film_shop: Declaration, tmp_path: Path
) -> None:
    def pause(progress: Progress) -> None:
        if progress.epoch == 6:
            raise KeyboardInterrupt

    options, saved = TrainingOptions(epochs=9, patience=2, half_life_days=300.0), SavedRun(tmp_path / "m")
    saved.begin(LOG, Plan(film_shop, options))
    assert run_of(film_shop, options, [(0.1, 0.1)] * 9, saved).finish(pause) == "interrupted"
    resumed = run_of(film_shop, options, [(0.1, 0.1)] * 9, saved)
    assert resumed.finish() == "patience"
    assert len(resumed.epochs) == 7  # the fifth reached it


def test_an_older_manifest_kept_the_epoch_of_the_best_ndcg() -> None:
    epochs = [Epoch(number, 1.0, 1.0, ndcg, 0.0) for number, ndcg in enumerate((0.1, 0.3, 0.2), start=1)]
    assert TrainingRun(epochs=epochs).kept_epoch.epoch == 2
    assert TrainingRun(epochs=epochs, kept=3).kept_epoch.epoch == 3
