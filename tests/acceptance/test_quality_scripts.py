"""`make quality` and its neighbours run from end to end, on a data set made up in the format of ML-1M."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SLOW = pytest.mark.slow
USERS, FILMS, RATINGS = 40, 300, 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each user goes through films in the order of their numbers, from one of their own on."""
    folder = tmp_path_factory.mktemp("data") / "ml-1m"
    folder.mkdir()
    films = [f"{film}::Film {film} (199{film % 10})::Drama|Comedy" for film in range(1, FILMS + 1)]
    (folder / "movies.dat").write_text("\n".join(films), "latin-1")
    users = [f"{user}::{'FM'[user % 2]}::25::10::48067" for user in range(1, USERS + 1)]
    (folder / "users.dat").write_text("\n".join(users))
    rows = [
        f"{user},{(user + place) % FILMS + 1},{place % 5 + 1},{place}"
        for user in range(1, USERS + 1)
        for place in range(RATINGS)
    ]
    text = "\n".join(["user_id,movie_id,rating,pos", *rows])
    (folder / "ratings_chronological.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_quality_is_measured_in_both_types_and_through_qdrant(data: Path, tmp_path: Path) -> None:
    written = tmp_path / "quality.json"
    run(
        "quality.py", "--data-dir", data, "--minutes", 0.05, "--seeds", 3, "--max-length", 8, "--out", written
    )
    found = json.loads(written.read_text())
    assert found["seeds"] == [3]
    assert 0 < found["ndcg_at_10"] <= found["hr_at_10"] <= 1
    assert found["wall_minutes"] < 2
    (through,) = (each["through_qdrant"] for each in found["runs"])
    for dtype in ("float32", "bfloat16"):
        assert through[dtype]["kept"] == 100
        direct = found["runs"][0][dtype]  # the same, for all that was seen is kept
        # Items that lie nearly level may change places for a user or two.
        assert abs(through[dtype]["ndcg@10"] - direct["ndcg@10"]) < 0.1
        assert direct["hr@10"] > 2 * 10 / FILMS
    assert set(found["baselines"]) == {"popularity", "item-kNN"}


@pytest.mark.parametrize(
    ("experiment", "rows"),
    [("losses", 5), pytest.param("roles", 4, marks=SLOW), pytest.param("user-ids", 2, marks=SLOW)],
)
def test_variants_have_a_row_each(data: Path, experiment: str, rows: int) -> None:
    table = run("variants.py", experiment, "--data", data, "--minutes", 0.005).splitlines()
    assert len(table) == 2 + rows
    assert len({line.count("|") for line in table}) == 1
