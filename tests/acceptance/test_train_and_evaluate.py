"""`kindred generate-shop`, `train` and `evaluate`, on a film shop small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kindred.cli import app
from kindred.errors import Misconfigured, ModelMismatch


def kindred(*arguments: object) -> Any:
    """What a command prints as JSON; raises what it raises."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shop") / "shop.jsonl.gz"
    kindred("generate-shop", file, "--events", 8_000)
    return file


@pytest.fixture(scope="module")
def checkpoint(shop: Path) -> Path:
    folder = shop.parent / "model"
    kindred("train", "--from", shop, "--output", folder, "--epochs", 12, "--holdout", 0.1)
    return folder


def test_a_model_trained_from_a_file_beats_its_baselines_on_later_events(
    shop: Path, checkpoint: Path
) -> None:
    found = kindred("evaluate", checkpoint, "--from", shop)
    assert found["cases"] == found["held_out"] > 100
    assert set(found["scorers"]) == {"this model", "item-kNN", "recent popularity", "popularity"}
    for measures in found["scorers"].values():
        assert all(0 <= low <= mean <= high <= 1 for mean, low, high in measures.values())
    assert found["gain"]["NDCG@10"][0] > 0


def test_nothing_held_out_is_said(shop: Path, tmp_path: Path) -> None:
    kindred("train", "--from", shop, "--output", tmp_path / "m", "--epochs", 1)
    with pytest.raises(Misconfigured, match="holdout"):
        kindred("evaluate", tmp_path / "m", "--from", shop)


def test_if_missing_leaves_a_valid_checkpoint_alone(checkpoint: Path) -> None:
    before = (checkpoint / "manifest.json").read_bytes()
    assert kindred("train", "--generated", "--if-missing", "--output", checkpoint)["trained"] is False
    assert (checkpoint / "manifest.json").read_bytes() == before


def test_if_missing_refuses_an_altered_one(checkpoint: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for file in checkpoint.iterdir():
        (altered / file.name).write_bytes(file.read_bytes())
    with (altered / "model.safetensors").open("ab") as weights:
        weights.write(b"!")
    with pytest.raises(ModelMismatch):
        kindred("train", "--generated", "--if-missing", "--output", altered)


def test_the_generated_shop_trains_a_model_without_any_file(tmp_path: Path) -> None:
    small = ("--shop-events", 1_000, "--epochs", 1)
    found = kindred("train", "--generated", *small, "--if-missing", "--output", tmp_path / "m")
    assert found["trained"] is True
    assert found["interactions"] > 800


@pytest.mark.parametrize("place", [[], ["--generated", "--from", "postgres"]])
def test_exactly_one_source_is_asked_for(place: list[str], tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--from postgres"):
        kindred("train", *place, "--output", tmp_path / "m")


def test_a_missing_file_of_events_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.jsonl"):
        kindred("train", "--from", tmp_path / "nowhere.jsonl", "--output", tmp_path / "m")
