from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kindred import declaration
from kindred.embedding import checkpoint
from kindred.embedding.model import untrained
from kindred.embedding.options import TowerOptions
from kindred.operations.doctor import Warn, _Doctor
from kindred.operations.kept_history import shortfall
from kindred.settings import Settings

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def settings_of(directory: Path, history_limit: int) -> Settings:
    return Settings(checkpoint=directory, postgres={"history_limit": history_limit})


def test_a_model_may_read_all_that_is_kept_and_no_more(tmp_path: Path) -> None:
    assert shortfall(100, settings_of(tmp_path, 100)) is None
    says = shortfall(101, settings_of(tmp_path, 100))
    assert says is not None
    assert "KINDRED_POSTGRES__HISTORY_LIMIT=101" in says


def test_nobody_is_told_to_set_what_the_settings_refuse(tmp_path: Path) -> None:
    says = shortfall(1_001, settings_of(tmp_path, 1_000))
    assert says is not None
    assert says.endswith("1000 at most: train with a smaller --max-length")


def test_the_doctor_warns_of_a_checkpoint_that_reads_more_than_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    model = untrained(declaration.load(), options=TowerOptions(max_length=120))
    checkpoint.save(model, directory, now=NOW)
    enough, too_few = (dict(_Doctor(settings_of(directory, kept)).checks()) for kept in (120, 119))
    assert "64 dimensions" in enough["checkpoint"]()
    with pytest.raises(Warn, match=r"a worker keeps 119: set KINDRED_POSTGRES__HISTORY_LIMIT=120"):
        too_few["checkpoint"]()
