"""`kindred generate-shop` and `train`, on a film shop small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kindred.cli import app
from kindred.embedding.checkpoint import read_manifest
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


def test_a_retrained_model_stays_in_the_space_of_the_one_it_is_aligned_to(
    shop: Path, checkpoint: Path, tmp_path: Path
) -> None:
    few = ("--from", shop, "--epochs", 1, "--seed", 5)
    found = kindred("train", *few, "--align-to", checkpoint, "--output", tmp_path / "m")
    assert found["space_of"] == read_manifest(checkpoint).name != found["model"]
    other = kindred("train", *few, "--align-to", checkpoint, "--output", tmp_path / "n", "--dimension", 32)
    assert other["space_of"] == other["model"]
    assert "d = 64, these 32" in other["note"]


def test_what_cannot_be_aligned_to_is_said_before_anything_is_read_or_written(tmp_path: Path) -> None:
    nowhere = ("--align-to", tmp_path / "nowhere", "--from", tmp_path / "nowhere.jsonl")
    with pytest.raises(ModelMismatch, match="cannot be read"):
        kindred("train", *nowhere, "--output", tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_resume_with_nothing_to_go_on_with_starts(tmp_path: Path) -> None:
    small = ("--shop-events", 1_000, "--epochs", 1)
    assert kindred("train", "--generated", *small, "--resume", "--output", tmp_path / "m")["epochs"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_new_training_says_that_it_replaces_an_interrupted_one(tmp_path: Path) -> None:
    (tmp_path / "m.training").mkdir()
    (tmp_path / "m.training" / "state.safetensors").touch()
    command = [
        "train",
        "--generated",
        "--shop-events",
        "1000",
        "--epochs",
        "1",
        "--output",
        str(tmp_path / "m"),
    ]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0
    assert "holds an interrupted training, which this one replaces" in " ".join(found.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("loss", ["sampled", "in-batch", "triplet"])
def test_each_loss_can_be_chosen(tmp_path: Path, loss: str) -> None:
    small = ("--shop-events", 1_000, "--epochs", 1, "--loss", loss)
    kindred("train", "--generated", *small, "--output", tmp_path / "m")
    assert read_manifest(tmp_path / "m").training.options["loss"] == loss


def test_wider_vectors_come_from_wider_towers(tmp_path: Path) -> None:
    small = ("--shop-events", 1_000, "--epochs", 1, "--dimension", 95)
    kindred("train", "--generated", *small, "--output", tmp_path / "m")
    manifest = read_manifest(tmp_path / "m")
    assert (manifest.dimension, manifest.towers.width, manifest.towers.feed_forward) == (95, 96, 96)


def test_regularisation_and_negatives_can_be_chosen(tmp_path: Path) -> None:
    small = ("--shop-events", 1_000, "--epochs", 1, "--weight-decay", 0.2, "--id-dropout", 0.4)
    kindred(
        "train",
        "--generated",
        *small,
        "--negative-weight",
        0.5,
        "--sampled-items",
        64,
        "--output",
        tmp_path / "m",
    )
    options = read_manifest(tmp_path / "m").training.options
    assert options["weight_decay"] == 0.2
    assert options["towers"]["id_dropout"] == 0.4
    assert options["negative_weight"] == 0.5
    assert options["sampled_items"] == 64


def test_a_model_that_reads_more_than_workers_keep_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--shop-events", "1000", "--epochs", "1", "--max-length", "60"]
    monkeypatch.setenv("KINDRED_POSTGRES__HISTORY_LIMIT", "59")
    command = ["train", "--generated", *small, "--output", str(tmp_path / "m")]
    last = CliRunner().invoke(app, command).stdout.splitlines()[-1]
    assert last == (
        "The model reads the newest 60 interactions, but a worker keeps 59: "
        "set KINDRED_POSTGRES__HISTORY_LIMIT=60 for all workers."
    )
    monkeypatch.setenv("KINDRED_POSTGRES__HISTORY_LIMIT", "60")
    assert "HISTORY_LIMIT" not in CliRunner().invoke(app, [*command, "--if-missing"]).stdout


@pytest.mark.parametrize("place", [[], ["--generated", "--from", "postgres"]])
def test_exactly_one_source_is_asked_for(place: list[str], tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--from postgres"):
        kindred("train", *place, "--output", tmp_path / "m")


def test_a_missing_file_of_events_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.jsonl"):
        kindred("train", "--from", tmp_path / "nowhere.jsonl", "--output", tmp_path / "m")
