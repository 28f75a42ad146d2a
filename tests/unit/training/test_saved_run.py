from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.manifest import FORMAT, Epoch, HeldOut
from kindred.embedding.options import TowerOptions
from kindred.errors import Misconfigured
from kindred.training import log_files
from kindred.training.event_log import EventLog
from kindred.training.options import TrainingOptions
from kindred.training.run import Progress
from kindred.training.saved_run import Plan, SavedRun
from kindred.training.train import train

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OPTIONS = TrainingOptions(epochs=2)


class InterruptAfter:
    """Ctrl-C when so many epochs are done."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def __call__(self, progress: Progress) -> None:
        if progress.epoch == self._epoch:
            raise KeyboardInterrupt


class InterruptWithin:
    """Ctrl-C in the middle of an epoch of several steps."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, share: float) -> None:
        if share >= self._share:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def interrupted(shop: EventLog, film_shop: Declaration, tmp_path: Path) -> Path:
    """The checkpoint of a run that was interrupted after the first of two epochs."""
    return _interrupted(shop, film_shop, OPTIONS, tmp_path / "model", on_progress=InterruptAfter(1))


def _interrupted(
    shop: EventLog, film_shop: Declaration, options: TrainingOptions, directory: Path, **by: Any
) -> Path:
    saved = SavedRun(directory)
    saved.begin(shop, Plan(film_shop, options))
    return train(shop, film_shop, options, directory, now=NOW, saved=saved, **by)


def epochs(directory: Path) -> list[Epoch]:
    return checkpoint.read_manifest(directory).training.epochs


@pytest.mark.parametrize(
    ("options", "by"),
    [
        (OPTIONS, {"on_progress": InterruptAfter(1)}),
        (structs.replace(OPTIONS, batch_tokens=512), {"on_share": InterruptWithin(0.75)}),
        (structs.replace(OPTIONS, loss="sampled", sampled_items=64), {"on_progress": InterruptAfter(1)}),
        (structs.replace(OPTIONS, loss="triplet", sampled_items=64), {"on_progress": InterruptAfter(1)}),
        pytest.param(
            structs.replace(OPTIONS, threads=2), {"on_progress": InterruptAfter(1)}, marks=pytest.mark.slow
        ),
    ],
    ids=["after an epoch", "within one", "sampled", "triplet", "two threads"],
)
def test_a_resumed_run_ends_in_the_very_model_of_an_uninterrupted_one(
    shop: EventLog, film_shop: Declaration, tmp_path: Path, options: TrainingOptions, by: dict[str, Any]
) -> None:
    interrupted = _interrupted(shop, film_shop, options, tmp_path / "model", **by)
    assert len(epochs(interrupted)) == 1
    saved = SavedRun(interrupted)
    log, plan = saved.opened()
    train(log, plan.declaration, plan.options, interrupted, now=NOW, saved=saved)
    straight = train(shop, film_shop, options, tmp_path / "straight", now=NOW)
    # The name holds the digest of every weight.
    assert checkpoint.read_manifest(interrupted).name == checkpoint.read_manifest(straight).name
    assert [epoch.loss for epoch in epochs(interrupted)] == [epoch.loss for epoch in epochs(straight)]
    seconds = [epoch.seconds for epoch in epochs(interrupted)]
    assert seconds == sorted(seconds)


def test_a_finished_run_leaves_only_its_checkpoint(interrupted: Path) -> None:
    saved = SavedRun(interrupted)
    assert sorted(path.name for path in interrupted.parent.iterdir()) == ["model", "model.training"]
    log, plan = saved.opened()
    train(log, plan.declaration, plan.options, interrupted, now=NOW, saved=saved)
    assert [path.name for path in interrupted.parent.iterdir()] == ["model"]


def test_a_run_interrupted_within_its_first_epoch_leaves_nothing(
    shop: EventLog, film_shop: Declaration, tmp_path: Path
) -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    saved = SavedRun(tmp_path / "model")
    saved.begin(shop, Plan(film_shop, OPTIONS))
    with pytest.raises(KeyboardInterrupt):
        train(shop, film_shop, OPTIONS, tmp_path / "model", now=NOW, on_share=interrupt, saved=saved)
    assert not list(tmp_path.iterdir())


def test_the_plan_comes_back(shop: EventLog, film_shop: Declaration, tmp_path: Path) -> None:
    plan = Plan(film_shop, TrainingOptions(loss="triplet", seed=3), HeldOut(newest_share=0.2))
    SavedRun(tmp_path / "model").begin(shop, plan)
    assert SavedRun(tmp_path / "model").opened()[1] == structs.replace(plan, format=FORMAT)


def test_a_plan_of_another_version_is_refused(shop: EventLog, film_shop: Declaration, tmp_path: Path) -> None:
    saved = SavedRun(tmp_path / "model")
    saved.begin(shop, Plan(film_shop, OPTIONS))
    path = saved.folder / "plan.json"
    path.write_text(path.read_text().replace(f'"format":{FORMAT}', f'"format":{FORMAT - 1}'))
    with pytest.raises(Misconfigured, match="another version of Kindred"):
        saved.opened()


@pytest.mark.parametrize("name", ["plan.json", "state.safetensors"])
def test_a_damaged_state_is_refused_in_one_sentence(interrupted: Path, name: str) -> None:
    saved = SavedRun(interrupted)
    (saved.folder / name).write_bytes(b"{")
    read = saved.opened if name == "plan.json" else saved.read
    with pytest.raises(Misconfigured, match=r"start anew without --resume\.$") as refused:
        read()
    assert "\n" not in str(refused.value)


def test_a_state_of_other_towers_is_refused_in_one_sentence(
    interrupted: Path, shop: EventLog, film_shop: Declaration
) -> None:
    wider = structs.replace(OPTIONS, towers=TowerOptions(width=128))
    with pytest.raises(Misconfigured, match=r"size mismatch.*start anew without --resume\.$") as refused:
        train(shop, film_shop, wider, interrupted, now=NOW, saved=SavedRun(interrupted))
    assert "\n" not in str(refused.value)
    assert SavedRun(interrupted).exists


def test_a_log_comes_back_from_its_files(shop: EventLog, tmp_path: Path) -> None:
    shop = replace(shop, removed=np.arange(len(shop.item_ids)) % 3 == 0)
    log_files.save(shop, tmp_path)
    found = log_files.load(tmp_path)
    for field in fields(EventLog):
        np.testing.assert_array_equal(list(getattr(found, field.name)), list(getattr(shop, field.name)))
    assert found.user_ids[-1] == shop.user_ids[-1]
    assert found.user_ids[2:4] == shop.user_ids[2:4]
    with pytest.raises(IndexError):
        found.user_ids[len(shop.user_ids)]


def test_a_log_saved_before_titles_and_removals_were_kept_can_be_gone_on_with(
    shop: EventLog, tmp_path: Path
) -> None:
    log_files.save(shop, tmp_path)
    for name in ("removed", "titles.json", "titles.offsets"):
        (tmp_path / name).unlink()
    found = log_files.load(tmp_path)
    assert not any(item.title or item.removed for item in found.catalogue())
    assert len(found.titles) == len(found.removed) == len(shop.item_ids)
