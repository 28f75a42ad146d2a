from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kindred.embedding import checkpoint
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import Model
from kindred.errors import ModelMismatch
from kindred.history.window import Histories, Item

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def directory(model: Model, tmp_path: Path) -> Path:
    checkpoint.save(model, tmp_path / "model", now=NOW, metrics={"ndcg@10": 0.1})
    return tmp_path / "model"


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / checkpoint.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_loaded_model_gives_the_same_vectors(
    directory: Path,
    embedder: Embedder,
    catalogue: list[Item],
    make_histories: Callable[[Sequence[int]], Histories],
) -> None:
    loaded = Embedder.load(directory)
    loaded.update_items(catalogue)
    histories = make_histories([0, 3, 60])
    np.testing.assert_array_equal(loaded.embed(histories), embedder.embed(histories))
    np.testing.assert_array_equal(loaded.embed_items(catalogue), embedder.embed_items(catalogue))
    assert loaded.declaration == embedder.declaration


def test_the_name_tells_date_and_contents(directory: Path, model: Model, tmp_path: Path) -> None:
    name = checkpoint.read_manifest(directory).name
    assert re.fullmatch(r"m20261123-[0-9a-f]{8}", name)
    assert checkpoint.save(model, tmp_path / "again", now=NOW).name == name


def test_saving_over_a_checkpoint_leaves_nothing_behind(directory: Path, model: Model) -> None:
    checkpoint.save(model, directory, now=NOW)
    assert [path.name for path in directory.parent.iterdir()] == ["model"]
    assert sorted(path.name for path in directory.iterdir()) == [
        "manifest.json",
        "model.safetensors",
        "vocabulary.json",
    ]


def test_the_checkpoint_before_is_deleted_only_when_the_new_one_is_in_its_place(
    directory: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupt)
    later = NOW + timedelta(days=1)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(model, directory, now=later)
    assert checkpoint.load(directory)[1].created_at == later.isoformat()


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.VOCABULARY])
def test_an_altered_file_is_refused(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[-9] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(ModelMismatch, match="not the file that its manifest describes"):
        checkpoint.load(directory)


@pytest.mark.parametrize("name", [checkpoint.MANIFEST, checkpoint.WEIGHTS, checkpoint.VOCABULARY])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(ModelMismatch, match=rf"{name} cannot be read \(No such file"):
        checkpoint.load(directory)


@pytest.mark.parametrize("size", ["longer", "shorter"])
def test_a_file_of_another_size_is_refused(directory: Path, size: str) -> None:
    path = directory / checkpoint.WEIGHTS
    content = path.read_bytes()
    path.write_bytes(content + b"x" if size == "longer" else content[:-1])
    with pytest.raises(ModelMismatch, match=r"are allowed|not the file"):
        checkpoint.load(directory)


def test_a_link_out_of_the_directory_is_refused(directory: Path) -> None:
    weights = directory / checkpoint.WEIGHTS
    weights.rename(directory.parent / "elsewhere")
    weights.symlink_to(directory.parent / "elsewhere")
    with pytest.raises(ModelMismatch, match="is a link"):
        checkpoint.load(directory)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"name": "../users"},
        {"name": "m\n"},
        {"dimension": 32},
        {"files": {}},
        {"files": {"../model.safetensors": {"sha256": "", "bytes": 1}}},
        {"unexpected": True},
        {"towers": {"blocks": "two"}},
        {"towers": {"width": 2**40}},
        {"towers": {"heads": 3}},
    ],
)
def test_a_wrong_manifest_is_refused(directory: Path, changes: dict[str, Any]) -> None:
    edit_manifest(directory, **changes)
    with pytest.raises(ModelMismatch, match=r"manifest\.json"):
        checkpoint.load(directory)


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff", b"[" * 5000])
def test_what_is_no_manifest_is_refused(directory: Path, content: bytes) -> None:
    (directory / checkpoint.MANIFEST).write_bytes(content)
    with pytest.raises(ModelMismatch, match="is not a manifest"):
        checkpoint.load(directory)


def test_weights_of_other_towers_are_refused(directory: Path) -> None:
    towers = json.loads((directory / checkpoint.MANIFEST).read_text())["towers"]
    edit_manifest(directory, towers=towers | {"width": 32})
    with pytest.raises(ModelMismatch, match="does not fit together"):
        checkpoint.load(directory)


def test_what_a_refusal_repeats_is_bounded(directory: Path) -> None:
    edit_manifest(directory, **{200 * "\x7f": 1})
    with pytest.raises(ModelMismatch) as refused:
        checkpoint.load(directory)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < len(str(directory)) + 330


def test_a_refusal_is_one_sentence_that_says_what_to_do(directory: Path) -> None:
    (directory / checkpoint.WEIGHTS).unlink()
    with pytest.raises(ModelMismatch, match=r"kindred train`\.$") as refused:
        checkpoint.load(directory)
    assert "\n" not in str(refused.value)
