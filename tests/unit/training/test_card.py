from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kindred.embedding.manifest import Epoch, HeldOut, Manifest, TrainingRange, TrainingRun
from kindred.embedding.options import TowerOptions
from kindred.training.card import write
from kindred.training.groups import Judged

PNG = b"\x89PNG\r\n"
NOTHING = HeldOut()
UNTRAINED = Epoch(1, None, 0.0, 0.0, 0.0)


def manifest(epochs: int, held_out: HeldOut = NOTHING) -> Manifest:
    curve = [
        Epoch(number, 7.0 / number, 2.0 * number, 0.01 * number, 0.02 * number)
        for number in range(1, epochs + 1)
    ]
    return Manifest(
        1, "m20261125-ab", "2026-11-25T10:00:00Z", 64, 50, TowerOptions(), {},
        TrainingRange(12_345, 67, 89, 1_790_000_000_000_000, 1_795_000_000_000_000),
        {"hr@10": 0.25, "ndcg@10": 0.125}, {}, held_out, TrainingRun({"seed": 3}, curve, "patience"),
    )  # fmt: skip


def cases(number: int, fifths: int = 0) -> Judged:
    ranks = np.arange(number) + 1
    return Judged(ranks, np.full(number, 7), np.full(number, 10**6), np.full(number, fifths))


def test_a_card_says_what_the_model_is_made_of_and_how_good(tmp_path: Path) -> None:
    text = write(tmp_path, manifest(4, HeldOut(newest_share=0.2)), cases(300)).read_text()
    assert "# Model m20261125-ab" in text
    assert "12,345 events of 67 users on 89 items, from 2026-09-21 to 2026-11-18" in text
    assert "Kept back for evaluation: the newest 20% of the events" in text
    assert "| hr@10 | ndcg@10 |\n|---|---|\n| 0.2500 | 0.1250 |" in text


def test_every_picture_of_the_card_is_there(tmp_path: Path) -> None:
    text = write(tmp_path, manifest(4), cases(300)).read_text()
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 4
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in pictures)


def test_few_cases_and_unseen_targets_are_called_limits(tmp_path: Path) -> None:
    text = write(tmp_path, manifest(4), cases(20, fifths=5)).read_text()
    assert "Only 20 cases were judged" in text
    assert "100% of the validation targets are items that training never saw" in text
    assert "Only" not in write(tmp_path, manifest(4), cases(300)).read_text()


def test_a_log_too_short_to_validate_has_a_card_too(tmp_path: Path) -> None:
    text = write(tmp_path, manifest(1), cases(0)).read_text()
    assert "Nothing was kept back to validate by" in text
    assert "chose the best epoch" not in text
    assert "(loss.png)" in text
    assert "recall" not in text


def test_what_training_did_not_name_is_said_to_be_read_as_it_is(tmp_path: Path) -> None:
    text = write(tmp_path, manifest(4), cases(300)).read_text()
    assert "Items that training did not name share a trained *unknown*" in text
    assert "so do categories that it met in one item or none" in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("epochs", [1, 40])
def test_the_plots_are_drawn_without_a_warning(tmp_path: Path, epochs: int) -> None:
    rng = np.random.default_rng(0)
    ages_us = (10 ** rng.uniform(6, 13, 500)).astype(np.int64)
    ranks, lengths, fifths = (rng.integers(low, high, 500) for low, high in ((11, 30), (0, 200), (0, 6)))
    write(tmp_path, manifest(epochs), Judged(ranks, lengths, ages_us, fifths))  # every bar, each of height 0
    write(tmp_path, msgspec.structs.replace(manifest(1), training=TrainingRun({}, [UNTRAINED])), cases(1))
