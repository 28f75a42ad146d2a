from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.embedder import Embedder
from kindred.embedding.manifest import Lineage, Manifest
from kindred.embedding.model import Model, untrained
from kindred.embedding.options import TowerOptions
from kindred.errors import ModelMismatch
from kindred.training.alignment import procrustes, read_space, rotate
from kindred.training.event_log import EventLog
from kindred.training.options import TrainingOptions
from kindred.training.train import train

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Trained:
    """A checkpoint, and what it gives for the shop's users and items."""

    directory: Path
    manifest: Manifest
    users: NDArray[np.float32]
    items: NDArray[np.float32]


def trained(
    shop: EventLog,
    film_shop: Declaration,
    directory: Path,
    align_to: Path | None = None,
    epochs: int = 1,
    dimension: int = 16,
) -> Trained:
    """Each name under another seed, so that its space is another one."""
    towers = TowerOptions(dimension=dimension, max_length=10)
    options = TrainingOptions(epochs=epochs, seed=len(directory.name), towers=towers)
    train(shop, film_shop, options, directory, now=NOW, align_to=align_to)
    embedder = Embedder.load(directory)
    embedder.update_items(shop.catalogue())
    users = embedder.embed(shop.histories(shop.offsets[1:-1]))
    return Trained(
        directory, checkpoint.read_manifest(directory), users, embedder.embed_items(shop.catalogue())
    )


@pytest.fixture(scope="module")
def first(shop: EventLog, film_shop: Declaration, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(shop, film_shop, tmp_path_factory.mktemp("models") / "first", epochs=4)


@pytest.fixture(scope="module")
def free(shop: EventLog, film_shop: Declaration, first: Trained) -> Trained:
    return trained(shop, film_shop, first.directory.parent / "second", epochs=4)


@pytest.fixture(scope="module")
def aligned(shop: EventLog, film_shop: Declaration, first: Trained) -> Trained:
    """The same training as `free`, aligned."""
    directory = first.directory.parent / "retrained" / "second"
    return trained(shop, film_shop, directory, align_to=first.directory, epochs=4)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one * other).sum(axis=1).mean())


def test_procrustes_finds_the_rotation_between_two_spaces() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    own = rng.standard_normal((50, 8)).astype(np.float32)
    np.testing.assert_allclose(procrustes(own, own @ rotation.T.astype(np.float32)), rotation, atol=1e-5)


def test_no_score_changes(free: Trained, aligned: Trained) -> None:
    before, after = free.users @ free.items.T, aligned.users @ aligned.items.T
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())
    assert aligned.manifest.metrics == pytest.approx(free.manifest.metrics)


def test_users_stay_near_where_the_first_model_had_them(
    first: Trained, free: Trained, aligned: Trained
) -> None:
    assert cosine(first.users, aligned.users) > cosine(first.users, free.users) + 0.4


def test_only_the_two_output_projections_are_rotated(free: Trained, aligned: Trained) -> None:
    before = checkpoint.load(free.directory)[0].towers.state_dict()
    after = checkpoint.load(aligned.directory)[0].towers.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"user.output.weight", "item.output.weight"}


def test_histories_never_read_a_rotated_vector(film_shop: Declaration) -> None:
    model = untrained(film_shop, items={"film": {"genres": ["drama"]}})
    bags = model.encoder.encode_items(["film"], [{"genres": ["drama"]}])
    before = model.towers.item(bags)
    rotate(model, np.diag([-1.0] * model.options.dimension))
    assert torch.equal(model.towers.item(bags), before)
    assert torch.equal(model.towers.item.project(before), -_projected_by(model, before))


def _projected_by(model: Model, representations: torch.Tensor) -> torch.Tensor:
    again = untrained(model.declaration, items={"film": {"genres": ["drama"]}})
    return again.towers.item.project(representations)


def test_a_third_model_is_aligned_to_the_first_one_not_to_the_second(
    shop: EventLog, film_shop: Declaration, first: Trained, aligned: Trained, tmp_path: Path
) -> None:
    third = trained(shop, film_shop, tmp_path / "3rd", align_to=aligned.directory)
    known = len(np.unique(shop.items))
    assert third.manifest.lineage == Lineage(first.manifest.name, third.manifest.lineage.shared_items)
    assert known - 5 <= third.manifest.lineage.shared_items <= known
    for name in ("anchor.json", "anchor.safetensors"):
        assert (third.directory / name).read_bytes() == (first.directory / name).read_bytes()


def test_a_model_of_the_format_before_can_still_be_aligned_to(first: Trained, tmp_path: Path) -> None:
    older = shutil.copytree(first.directory, tmp_path / "older")
    manifest = json.loads((older / checkpoint.MANIFEST).read_text())
    (older / checkpoint.MANIFEST).write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(ModelMismatch, match="format 2"):
        checkpoint.load(older)
    assert read_space(older).first == first.manifest.name


def test_another_dimension_is_noted_and_begins_a_space_of_its_own(
    shop: EventLog, film_shop: Declaration, first: Trained, tmp_path: Path
) -> None:
    wide = trained(shop, film_shop, tmp_path / "wide", align_to=first.directory, dimension=24)
    assert wide.manifest.lineage.first == ""
    assert "d = 16, these 24" in wide.manifest.lineage.note
    assert read_space(wide.directory).first == wide.manifest.name
    assert read_space(wide.directory).anchor.vectors.shape[1] == 24


def test_too_few_common_items_are_noted(
    shop: EventLog, film_shop: Declaration, first: Trained, tmp_path: Path
) -> None:
    renamed = replace(shop, item_ids=[f"new {item_id}" for item_id in shop.item_ids])
    strange = trained(renamed, film_shop, tmp_path / "strange", align_to=first.directory)
    assert "of whose items 0 are known" in strange.manifest.lineage.note


def test_a_checkpoint_without_an_anchor_is_refused_before_training(
    shop: EventLog, film_shop: Declaration, tmp_path: Path
) -> None:
    checkpoint.save(untrained(film_shop), tmp_path / "untrained", now=NOW)
    with pytest.raises(ModelMismatch, match="no anchor to align to"):
        trained(shop, film_shop, tmp_path / "model", align_to=tmp_path / "untrained")
    assert not (tmp_path / "model").exists()
