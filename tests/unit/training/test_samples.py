"""No skew: what training reads is what a worker would have built at that moment."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.features import Windows, encode_windows
from kindred.embedding.model import Model
from kindred.embedding.options import TowerOptions
from kindred.training.event_log import EventLog
from kindred.training.learner import Learner
from kindred.training.options import TrainingOptions
from kindred.training.samples import Samples, batches, cut, encode
from kindred.training.targets import on_removed
from kindred.training.train import fit, fresh_model

MAX_LENGTH = 10


@pytest.fixture(scope="module")
def model(shop: EventLog, film_shop: Declaration) -> Model:
    options = TrainingOptions(epochs=1, towers=TowerOptions(max_length=MAX_LENGTH))
    return fit(shop, film_shop, options)[0]


def row(windows: Windows, index: int) -> dict[str, list[int]]:
    """One window without its padding."""
    length = int(windows.lengths[index])
    names = [field.name for field in fields(windows) if field.name != "lengths"]
    return {name: getattr(windows, name)[index, :length].tolist() for name in names}


def test_every_event_is_a_target_once_with_half_a_window_behind_it(shop: EventLog) -> None:
    samples = cut(shop, MAX_LENGTH, np.random.default_rng(3))
    covered: list[int] = []
    for start, end, first, user in zip(
        samples.starts, samples.ends, samples.first_targets, samples.users, strict=True
    ):
        covered.extend(range(first, end + 1))
        assert shop.offsets[user] <= start <= first <= end < shop.offsets[user + 1]
        assert end - start <= MAX_LENGTH
        assert start == shop.offsets[user] or first - start >= MAX_LENGTH // 2
    assert sorted(covered) == list(range(len(shop)))


def test_the_prefix_predicts_only_a_users_true_first_event(shop: EventLog, model: Model) -> None:
    learner = Learner(model, shop, np.ones(len(shop), bool), TrainingOptions())
    samples = cut(shop, MAX_LENGTH, np.random.default_rng(3))
    batch = encode(samples, learner.events, np.ones(len(shop), bool))
    first = batch.events[batch.positions == 0]
    assert sorted(first) == shop.offsets[:-1].tolist()


def test_batches_hold_every_target_once(shop: EventLog, model: Model) -> None:
    is_target = np.arange(len(shop)) % 3 == 0
    learner = Learner(model, shop, is_target, TrainingOptions())
    rng = np.random.default_rng(0)
    found = [batch.events for batch in batches(cut(shop, 10, rng), learner.events, is_target, 160, rng)]
    assert np.sort(np.concatenate(found)).tolist() == np.flatnonzero(is_target).tolist()


def test_a_worker_reads_at_random_moments_what_training_reads(shop: EventLog, model: Model) -> None:
    learner = Learner(model, shop, np.ones(len(shop), bool), TrainingOptions())
    samples = cut(shop, MAX_LENGTH, np.random.default_rng(11))
    trained = encode(samples, learner.events, np.ones(len(shop), bool)).windows
    worker = Embedder(model, "worker")
    worker.update_items(shop.catalogue())
    for moment in np.random.default_rng(2).integers(0, len(samples.ends), 200):
        history = shop.histories(samples.ends[[moment]], limit=100)  # as Postgres keeps it
        served = worker.windows(history)
        assert row(served, 0) | {"rows": None} == row(trained, moment) | {"rows": None}
        served_ids = [shop.item_ids[number - 1] for number in row(served, 0)["rows"]]
        known = model.encoder.vocabulary.item_ids
        assert served_ids == [known[number - 1] for number in row(trained, moment)["rows"]]


def test_a_worker_computes_what_training_computes(shop: EventLog, model: Model) -> None:
    learner = Learner(model, shop, np.ones(len(shop), bool), TrainingOptions(precision="float32"))
    rng = np.random.default_rng(4)
    every = cut(shop, MAX_LENGTH, rng)
    samples: Samples = every.take(rng.integers(0, len(every.ends), 100))
    worker = Embedder(model, "worker")
    worker.update_items(shop.catalogue())
    served = worker.embed(shop.histories(samples.ends))
    model.towers.eval()
    with torch.no_grad():
        trained = learner.user_vectors(encode(samples, learner.events, np.ones(len(shop), bool)))
    rows, lengths = np.arange(100), samples.ends - samples.starts
    np.testing.assert_allclose(served, trained[rows, lengths].numpy(), atol=1e-5)


def test_a_removed_item_is_unknown_to_training_as_to_a_worker(shop: EventLog, film_shop: Declaration) -> None:
    gone = replace(shop, removed=np.arange(len(shop.item_ids)) % 4 == 0)
    model = fresh_model(gone, film_shop, TrainingOptions(towers=TowerOptions(max_length=MAX_LENGTH)))
    left = [item_id for item_id, removed in zip(shop.item_ids, gone.removed, strict=True) if not removed]
    assert set(model.encoder.vocabulary.item_ids) <= set(left)
    learner = Learner(model, gone, ~on_removed(gone), TrainingOptions(precision="float32"))
    ends = shop.offsets[1:21] - 1
    samples = Samples(np.arange(20), np.maximum(shop.offsets[:20], ends - MAX_LENGTH), ends, ends)
    worker = Embedder(model, "worker")
    worker.update_items(gone.catalogue())
    model.towers.eval()
    with torch.no_grad():
        trained = learner.user_vectors(encode(samples, learner.events, np.ones(len(shop), bool)))
    served, lengths = worker.embed(shop.histories(ends)), samples.ends - samples.starts
    np.testing.assert_allclose(served, trained[np.arange(20), lengths].numpy(), atol=1e-5)


def test_earlier_positions_are_what_a_shorter_window_reads(shop: EventLog, model: Model) -> None:
    learner = Learner(model, shop, np.ones(len(shop), bool), TrainingOptions())
    user = int(np.argmax(np.diff(shop.offsets)))
    start = int(shop.offsets[user])
    long = encode_windows(learner.events, np.array([start]), np.array([start + 8]))
    short = encode_windows(learner.events, np.array([start]), np.array([start + 5]))
    assert long.rows[0, :5].tolist() == short.rows[0].tolist()
    assert long.gaps[0, :5].tolist() == short.gaps[0].tolist()
