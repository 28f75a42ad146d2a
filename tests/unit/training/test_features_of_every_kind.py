"""Every kind of feature, from the TOML file through training and a checkpoint to vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kindred import declaration
from kindred.embedding.embedder import Embedder
from kindred.events.schema import Interaction, ItemDescription, Profile
from kindred.history.window import Histories, Item
from kindred.training import learner as learner_module
from kindred.training.dataset import Event, build_log
from kindred.training.event_log import EventLog
from kindred.training.learner import Learner
from kindred.training.options import TrainingOptions
from kindred.training.samples import Samples, encode
from kindred.training.train import fresh_model, train

DECLARED = declaration.parse(
    """
user_id_buckets = 64
[events]
watch = {}
[user]
country = { kind = "category" }
age = { kind = "number", buckets = 4 }
likes = { kind = "multi_category" }
about = { kind = "text", buckets = 128 }
taste = { kind = "vector", width = 3 }
[item]
studio = { kind = "category" }
genres = { kind = "multi_category" }
year = { kind = "number", buckets = 4 }
plot = { kind = "text", buckets = 128 }
poster = { kind = "vector", width = 3 }
""",
    "test",
)
ITEM = {"studio": "s1", "genres": ["g1", "g2"], "year": 1990, "plot": "a quiet town", "poster": [1.0, 0, 0]}
USER = {"country": "DE", "age": 30, "likes": ["g1"], "about": "quiet films", "taste": [1.0, 0, 0]}
OTHERS = {
    "studio": "s2", "genres": ["g3"], "year": 2010, "plot": "loud war", "poster": [0, 1.0, 0],
    "country": "SE", "age": 60, "likes": ["g3"], "about": "loud", "taste": [0, 1.0, 0],
}  # fmt: skip
RARE = "of one alone"

TITLED = declaration.parse(
    """
[events]
watch = {}
[item]
title = { kind = "category" }
""",
    "test",
)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return build_log(_events())


def _events() -> Iterator[Event]:
    for number in range(20):
        described = ITEM if number % 2 else {name: OTHERS[name] for name in ITEM}
        if number == 18:
            described = described | {"studio": RARE}
        yield ItemDescription(f"i{number:02}", 0, None, json.dumps(described), b"")
    for user in range(60):
        profile = USER if user % 2 else {name: OTHERS[name] for name in USER}
        if user == 0:
            profile = profile | {"country": RARE}
        yield Profile(f"u{user:02}", 0, json.dumps(profile), b"")
        for at in range(6):
            item = f"i{(user + 2 * at) % 20:02}"
            yield Interaction(f"e{at}", f"u{user:02}", item, "watch", 10 * user + at, None, None)


@pytest.fixture(scope="module")
def embedder(log: EventLog, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    directory = tmp_path_factory.mktemp("models") / "model"
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return Embedder.load(train(log, DECLARED, TrainingOptions(epochs=1), directory, now=now))


def item_vector(
    embedder: Embedder, attributes: dict[str, Any] | None, item_id: str = "i01"
) -> NDArray[np.float32]:
    item = Item(0, item_id, None, attributes, removed=False, revision=1, popularity=0.0)
    return embedder.embed_items([item])[0]


def user_vector(embedder: Embedder, profile: dict[str, Any], user_id: str = "new") -> NDArray[np.float32]:
    none = np.zeros(0, np.int64)
    histories = Histories(
        [user_id],
        [profile],
        np.zeros(2, np.int64),
        none.astype(np.int32),
        none.astype(np.int16),
        none,
        [],
        [0],
    )
    return embedder.embed(histories)[0]


@pytest.mark.parametrize("name", list(ITEM))
def test_each_attribute_of_an_item_moves_its_vector(embedder: Embedder, name: str) -> None:
    moved = item_vector(embedder, ITEM | {name: OTHERS[name]}) - item_vector(embedder, ITEM)
    assert np.abs(moved).max() > 1e-3


@pytest.mark.parametrize("name", list(USER))
def test_each_attribute_of_a_user_moves_the_vector(embedder: Embedder, name: str) -> None:
    moved = user_vector(embedder, USER | {name: OTHERS[name]}) - user_vector(embedder, USER)
    assert np.abs(moved).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "senseless"), [("genres", []), ("year", "soon"), ("plot", ""), ("poster", [1.0])]
)
def test_a_value_that_makes_no_sense_counts_as_missing(
    embedder: Embedder, name: str, senseless: object
) -> None:
    missing = item_vector(embedder, ITEM | {name: None})
    np.testing.assert_array_equal(item_vector(embedder, ITEM | {name: senseless}), missing)


def test_unseen_categories_are_an_unknown_one_that_training_has_moved(embedder: Embedder) -> None:
    item, user = partial(item_vector, embedder), partial(user_vector, embedder)
    for vector, known, name in ((item, ITEM, "studio"), (user, USER, "country")):
        unseen, rare, missing = (vector(known | {name: value}) for value in ("never seen", RARE, None))
        np.testing.assert_array_equal(unseen, rare)
        assert np.abs(unseen - missing).max() > 1e-4


def test_a_worker_computes_what_training_computes(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_module, "_ENCODED_USERS", 7)
    model = fresh_model(log, DECLARED, TrainingOptions())
    with torch.no_grad():
        for table in (model.towers.user.profile.tokens, model.towers.item.bag.tokens):
            table.normal_(generator=torch.Generator().manual_seed(1))  # ids and unknowns, too
    every, last = np.ones(len(log), bool), log.offsets[1:] - 1
    learner = Learner(model, log, every, TrainingOptions(precision="float32"))
    worker = Embedder(model, "worker")
    worker.update_items(log.catalogue())
    samples = Samples(np.arange(60), log.offsets[:-1], last, last)
    model.towers.eval()
    with torch.no_grad():
        trained = learner.user_vectors(encode(samples, learner.events, every))[:, 5].numpy()
    np.testing.assert_allclose(worker.embed(log.histories(last)), trained, atol=1e-5)


def test_unseen_items_share_one_identity_that_training_has_moved(embedder: Embedder, log: EventLog) -> None:
    one, other = (item_vector(embedder, ITEM, item_id) for item_id in ("never seen", "nor this"))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - item_vector(embedder, ITEM)).max() > 1e-3
    fresh = replace(log.catalogue()[0], item_id="never seen", attributes=None)
    untrained = fresh_model(log, DECLARED, TrainingOptions())
    untouched = Embedder(untrained, "untrained").embed_items([fresh])[0]
    assert np.abs(untouched - item_vector(embedder, None, "never seen")).max() > 1e-3


def test_a_hashed_user_id_tells_users_of_one_profile_apart(embedder: Embedder) -> None:
    one, other = user_vector(embedder, USER, "u01"), user_vector(embedder, USER, "u03")
    assert np.abs(one - other).max() > 1e-4


def test_an_id_that_shares_its_bucket_with_nobody_of_training_says_nothing(log: EventLog) -> None:
    fresh = Embedder(fresh_model(log, DECLARED, TrainingOptions()), "untrained")
    np.testing.assert_array_equal(user_vector(fresh, USER, "u01"), user_vector(fresh, USER, "anybody"))


def test_a_title_that_is_declared_is_read_in_training_and_serving_alike() -> None:
    items = [ItemDescription(f"i{at}", 0, f"Part {at // 2}", "{}", b"") for at in range(4)]
    taken = [Interaction(f"e{at}", "u", f"i{at}", "watch", at, None, None) for at in range(4)]
    log = build_log([*items, *taken])
    model = fresh_model(log, TITLED, TrainingOptions())
    assert model.encoder.vocabulary.item["title"].values == ["Part 0", "Part 1"]
    worker = Embedder(model, "worker")
    unseen = [Item(9, "new", title, {}, False, 0, 0.0) for title in ("Part 0", "Part 1", "another")]
    one, other, unknown = worker.embed_items(unseen)
    assert min(abs(one - other).max(), abs(one - unknown).max()) > 0.01
    (untitled,) = worker.embed_items([replace(unseen[0], title=None)])
    np.testing.assert_allclose(unknown, untitled, atol=1e-6)
    learner = Learner(model, log, np.ones(4, bool), TrainingOptions(precision="float32"))
    worker.update_items(log.catalogue())
    samples = Samples(*(np.array([value]) for value in (0, 0, 3, 3)))
    with torch.no_grad():
        trained = learner.user_vectors(encode(samples, learner.events, np.ones(4, bool)))
    np.testing.assert_allclose(worker.embed(log.histories(np.array([3]))), trained[:, 3], atol=1e-6)
