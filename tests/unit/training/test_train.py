from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.embedder import Embedder
from kindred.errors import Misconfigured
from kindred.events.schema import Interaction
from kindred.training import precision
from kindred.training.baselines import Popularity
from kindred.training.dataset import Event, build_log
from kindred.training.evaluate import ModelScorer, from_time, metrics, ranks
from kindred.training.event_log import EventLog
from kindred.training.learner import warm_cosine
from kindred.training.options import LossName, TrainingOptions
from kindred.training.run import Progress
from kindred.training.train import fit, train
from logs import log_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_trained_model_beats_popularity_by_half_again(
    shop: EventLog, film_shop: Declaration, tmp_path: Path
) -> None:
    boundary_us = shop.time_at(0.8)
    past, cases = shop.before(boundary_us), from_time(shop, film_shop, boundary_us)
    seen: list[Progress] = []
    directory = train(
        past, film_shop, TrainingOptions(epochs=12), tmp_path / "model", now=NOW, on_progress=seen.append
    )
    model = ModelScorer(Embedder.load(directory), shop)
    found = metrics(ranks(shop, film_shop, cases, model))["ndcg@10"]
    assert found > 1.5 * metrics(ranks(shop, film_shop, cases, Popularity(past, film_shop)))["ndcg@10"]
    assert seen[-1].loss < seen[0].loss - 0.5
    manifest = checkpoint.read_manifest(directory)
    assert manifest.metrics["ndcg@10"] == max(progress.ndcg_at_10 for progress in seen)
    assert manifest.training.kept_epoch.ndcg_at_10 == manifest.metrics["ndcg@10"]
    assert manifest.trained_on.last_us == past.times_us.max()


def test_the_same_seed_gives_the_same_model(shop: EventLog, film_shop: Declaration, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=1)
    names = [
        checkpoint.read_manifest(train(shop, film_shop, options, tmp_path / run, now=NOW)).name
        for run in ("first", "second")
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("multiplies", [True, False])
def test_the_manifest_tells_the_precision_that_auto_meant(
    shop: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch, multiplies: bool
) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: multiplies)
    fitted = fit(shop, film_shop, TrainingOptions(epochs=1))
    assert fitted.training.options["precision"] == ("bfloat16" if multiplies else "float32")


def test_an_interrupted_training_keeps_the_best_epoch(shop: EventLog, film_shop: Declaration) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    fitted = fit(shop, film_shop, TrainingOptions(epochs=9), interrupt)
    assert fitted.metrics["ndcg@10"] > 0
    assert fitted.training.ended == "interrupted"
    assert len(fitted.training.epochs) == 1


def test_training_stops_when_it_no_longer_helps(shop: EventLog, film_shop: Declaration) -> None:
    seen: list[Progress] = []
    fit(shop, film_shop, TrainingOptions(epochs=9, patience=2, learning_rate=0.0), seen.append)
    assert len(seen) == 3


def test_a_time_budget_ends_training_within_an_epoch(shop: EventLog, film_shop: Declaration) -> None:
    seen: list[Progress] = []
    fit(shop, film_shop, TrainingOptions(epochs=1_000, max_minutes=0.01), seen.append)
    assert seen[-1].share >= 1
    assert seen[-1].seconds < 5


@pytest.mark.parametrize("loss", ["full", "sampled", "in-batch", "triplet"])
def test_each_loss_falls_and_ranks_better(shop: EventLog, film_shop: Declaration, loss: LossName) -> None:
    seen: list[Progress] = []
    fit(shop, film_shop, TrainingOptions(epochs=3, loss=loss, sampled_items=64), seen.append)
    assert seen[0].loss > seen[1].loss > seen[2].loss
    assert seen[-1].ndcg_at_10 > 1.1 * seen[0].ndcg_at_10


def test_disliked_items_weigh_in_the_loss(film_shop: Declaration) -> None:
    events: list[Event] = [
        Interaction(
            f"e{at}", f"u{user}", f"i{(user + at) % 9}", "watch" if at % 2 else "dislike", at, None, None
        )
        for user in range(60)
        for at in range(9)
    ]
    without, with_them = (
        fit(build_log(events), film_shop, TrainingOptions(epochs=1, negative_weight=weight)).training.epochs[
            0
        ]
        for weight in (0.0, 1.0)
    )
    assert without.loss is not None
    assert with_them.loss is not None
    assert with_them.loss > without.loss + 0.05


def test_the_first_items_of_a_newcomer_follow_the_profile(shop: EventLog, film_shop: Declaration) -> None:
    model = fit(shop, film_shop, TrainingOptions(epochs=1)).model
    vectors = Embedder(model, "cold").embed(shop.histories(shop.offsets[:2]))
    assert np.abs(vectors[0] - vectors[1]).max() > 0


def test_a_log_without_positive_events_is_refused(film_shop: Declaration) -> None:
    with pytest.raises(Misconfigured, match="nothing to learn from"):
        fit(build_log([]), film_shop, TrainingOptions())


@pytest.mark.parametrize(("share", "factor"), [(0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.2, 0.0)])
def test_the_learning_rate_warms_up_then_falls(share: float, factor: float) -> None:
    assert warm_cosine(share, 0.1) == pytest.approx(factor, abs=1e-9)


@pytest.mark.parametrize("by", ["time", "last_target"])
def test_without_a_validation_share_all_is_learned_and_the_last_epoch_ships(
    shop: EventLog, film_shop: Declaration, by: Literal["time", "last_target"]
) -> None:
    seen: list[Progress] = []
    options = TrainingOptions(epochs=3, patience=1, validation_share=0.0, validation_by=by)
    fitted = fit(shop, film_shop, options, seen.append)
    assert len(seen) == 3
    assert not any(fitted.metrics.values())
    assert set(fitted.model.encoder.vocabulary.item_ids) == {
        shop.item_ids[item] for item in np.unique(shop.items)
    }


def test_a_half_life_makes_the_model_favour_what_was_in_demand_last(film_shop: Declaration) -> None:
    # Everybody took "old" hits in the first month and "new" ones on its last day, ten times fewer.
    steps = [(f"u{user}", f"old{user % 7}", user % 28) for user in range(400)]
    steps += [(f"v{user}", f"new{user % 7}", 30.0) for user in range(40)]
    log = log_of(*steps)
    lead = {}
    for half_life_days in (None, 1.0):
        options = TrainingOptions(epochs=8, half_life_days=half_life_days, validation_share=0.0)
        embedder = Embedder(fit(log, film_shop, options).model, "m")
        scores = ModelScorer(embedder, log).scores(log.histories(log.offsets[:1]))[0]
        new = np.array([item_id.startswith("new") for item_id in log.item_ids])
        lead[half_life_days] = scores[new].mean() - scores[~new].mean()
    assert lead[None] < 0 < lead[1.0]
