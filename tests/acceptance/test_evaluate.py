"""`kindred evaluate` on a film shop small enough for a test, and every way in which it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kindred.cli import app
from kindred.errors import Misconfigured, ModelMismatch


def run(*arguments: object) -> Result:
    """What a command does; raises what it raises."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def as_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shop") / "shop.jsonl.gz"
    run("generate-shop", file, "--events", 8_000)
    return file


@pytest.fixture(scope="module")
def checkpoint(shop: Path) -> Path:
    """Trained on the first nine tenths, without one user in twenty."""
    folder = shop.parent / "model"
    held_out = ("--holdout", 0.1, "--hold-out-users", 0.05)
    run("train", "--from", shop, "--output", folder, "--epochs", 12, *held_out)
    return folder


def test_a_model_trained_from_a_file_beats_its_baselines_on_later_events(
    shop: Path, checkpoint: Path
) -> None:
    page = shop.parent / "report.html"
    found = as_json("evaluate", checkpoint, "--from", shop, "--html", page, "--no-tune")
    assert found["asked"]["cases"] == found["asked"]["held_out"] > 100
    assert found["asked"]["split"] == "temporal"
    rows = found["comparison"]["overall"]["rows"]
    assert [row["name"] for row in rows][:5] == [
        "this model", "popularity", "recent popularity", "live popularity", "item-kNN",
    ]  # fmt: skip
    best = next(row for row in rows if row["name"] == found["comparison"]["overall"]["best"])
    assert best["gain"]["NDCG@10"]["mean"] > 0
    assert not found["notes"]
    assert found["cold_start"]["users"] > 0
    assert "<h2>What freshness is worth</h2>" in page.read_text()


def test_only_what_is_asked_for_is_reported(shop: Path, checkpoint: Path) -> None:
    quick = ("--cases", 50, "--baselines", "popularity,knn", "--no-tune")
    found = as_json("evaluate", checkpoint, "--from", shop, *quick, "--reports", "none", "--k", 5)
    assert found["asked"]["cases"] == 50
    assert found["measures"] == ["HR@5", "NDCG@5", "MRR"]
    assert len(found["comparison"]["overall"]["rows"]) == 3
    assert found["freshness"] is found["cold_start"] is found["neighbours"] is None
    found = as_json("evaluate", checkpoint, "--from", shop, *quick, "--reports", "freshness")
    assert found["freshness"]["cases"] == 50
    assert found["cold_start"] is None


def test_a_person_reads_tables_and_what_they_mean(shop: Path, checkpoint: Path) -> None:
    quick = ("--cases", 50, "--baselines", "popularity", "--no-tune")
    shown = run("evaluate", checkpoint, "--from", shop, *quick).stdout
    assert re.search(r"this model +0?\.\d+", shown)
    assert "For newcomers before their first event the model is" in " ".join(shown.split())


def test_nothing_held_out_is_said(shop: Path, tmp_path: Path) -> None:
    run("train", "--from", shop, "--output", tmp_path / "m", "--epochs", 1)
    with pytest.raises(Misconfigured, match="--holdout"):
        run("evaluate", tmp_path / "m", "--from", shop)
    with pytest.raises(Misconfigured, match="--hold-out-last"):
        run("evaluate", tmp_path / "m", "--from", shop, "--split", "leave-one-out")


def test_events_that_training_saw_are_not_asked_about(shop: Path, checkpoint: Path) -> None:
    with pytest.raises(Misconfigured, match="judged by what it has seen"):
        run("evaluate", checkpoint, "--from", shop, "--at", 0.5)


def test_a_model_trained_for_leave_one_out_is_asked_about_each_users_newest(
    shop: Path, tmp_path: Path
) -> None:
    run("train", "--from", shop, "--output", tmp_path / "m", "--epochs", 1, "--hold-out-last")
    quick = ("--baselines", "popularity", "--reports", "none")
    found = as_json("evaluate", tmp_path / "m", "--from", shop, *quick)
    assert found["asked"]["split"] == "leave-one-out"
    assert found["asked"]["cases"] == found["asked"]["users"]


def test_the_model_of_another_catalogue_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(
        '{"event_id": "1", "user_id": "u1", "item_id": "none-of-ours", "type": "watch", '
        '"occurred_at": "2026-01-01T00:00:00Z"}\n'
    )
    with pytest.raises(Misconfigured, match="another catalogue"):
        run("evaluate", checkpoint, "--from", other)


def test_a_log_without_events_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(Misconfigured, match="no event"):
        run("evaluate", checkpoint, "--from", tmp_path / "empty.jsonl")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--baselines", "svd"), "choose from popularity"),
        (("--reports", "weather"), "choose from cold-start"),
        (("--dataset", "ml-100k"), "--from FILE"),
    ],
)
def test_a_wrong_choice_is_one_sentence_with_the_right_ones(
    option: tuple[str, str], told: str, shop: Path, checkpoint: Path
) -> None:
    with pytest.raises(Misconfigured, match=told):
        run("evaluate", checkpoint, "--from", shop, *option)


def test_a_folder_without_a_checkpoint_and_a_page_that_cannot_be_written(
    shop: Path, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelMismatch):
        run("evaluate", tmp_path, "--from", shop)
    quick = ("--cases", 20, "--baselines", "popularity", "--no-tune", "--reports", "none")
    with pytest.raises(Misconfigured, match="cannot be written"):
        run("evaluate", checkpoint, "--from", shop, *quick, "--html", tmp_path / "no" / "report.html")
