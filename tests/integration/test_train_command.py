"""`kindred train` and `kindred evaluate` on the log in Postgres, as a data scientist calls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain import Chain, chain, kindred
from kindred.embedding.checkpoint import read_manifest
from running import interaction


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    """60 users, each of whom goes through 25 of 40 films."""
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        clicks = [interaction(f"u{n % 60}", str((n % 60 + n // 60) % 40), n) for n in range(1_500)]
        here.sync(*(here.record("interactions", each["user_id"], each) for each in clicks))
        yield here


def test_a_checkpoint_comes_from_the_log_and_is_judged_by_it(here: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    trained = kindred(
        here.settings, "train", "--from", "postgres", "--holdout", "0.2", "--epochs", "2", "-o", str(folder)
    )
    manifest = read_manifest(folder)
    assert (trained["exit_code"], trained["model"]) == (0, manifest.name)
    assert (manifest.trained_on.users, manifest.trained_on.interactions) == (60, 1_200)

    judged = kindred(
        here.settings, "evaluate", str(folder), "--from", "postgres", "--reports", "none", "--no-tune"
    )
    assert judged["asked"]["held_out"] == 300
    assert judged["comparison"]["overall"]["rows"][0]["name"] == "this model"
