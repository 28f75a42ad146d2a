"""`make quality`: train on MovieLens-1M within a time budget, and rank each user's last film.

Leave-one-out: the last film of each user is the test, the one before it validates, and nothing is chosen
by the test. The whole catalogue competes without what the user has seen; ties count against the model. A
checkpoint is written, read again and asked through the embedder that serves it, in float32 and bfloat16:
with everything seen removed, and through Qdrant, where *seen* is the kept history alone. Popularity and
item-kNN are asked the same. Writes build/quality.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
import numpy as np
import served
from rich.console import Console

from kindred.declaration import Declaration
from kindred.embedding.checkpoint import read_manifest
from kindred.embedding.embedder import Embedder
from kindred.embedding.options import TowerOptions
from kindred.local.datasets import load
from kindred.training.baselines import ItemKnn, Popularity
from kindred.training.dataset import build_log
from kindred.training.evaluate import ModelScorer, leave_one_out, metrics, ranks
from kindred.training.event_log import EventLog
from kindred.training.holdout import before_last_target
from kindred.training.options import TrainingOptions
from kindred.training.run import Progress
from kindred.training.train import train

console = Console()
_DTYPES: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
_ENDLESS = 100_000  # epochs: the time budget ends the training, not their number


def main() -> None:
    asked = _options()
    log, declaration = _read(asked.data_dir)
    runs = [_one_seed(log, declaration, asked, seed) for seed in asked.seeds]
    baselines = _baselines(log, declaration)
    console.print(json.dumps(baselines), soft_wrap=True)
    figures = {
        "hr_at_10": _mean(runs, "hr_at_10"),
        "ndcg_at_10": _mean(runs, "ndcg_at_10"),
        "wall_minutes": _mean(runs, "wall_minutes"),
        "seeds": asked.seeds,
        "runs": runs,
        "baselines": baselines,
        "max_length": asked.max_length,
        "kept": _kept(asked),
        "options": msgspec.to_builtins(_training(asked, 0)),
        "load_average": os.getloadavg(),
    }
    path = Path(asked.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"HR@10 {figures['hr_at_10']:.4f}  NDCG@10 {figures['ndcg_at_10']:.4f}  -> {path}")


def _one_seed(
    log: EventLog, declaration: Declaration, asked: argparse.Namespace, seed: int
) -> dict[str, Any]:
    directory = Path(asked.out).parent / f"quality-{asked.max_length}-{seed}"
    past = log.where(before_last_target(log, declaration))
    began, spent = time.monotonic(), time.process_time()
    train(
        past, declaration, _training(asked, seed), directory, now=datetime.now(UTC), on_progress=_told(seed)
    )
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (time.process_time() - spent) / 60
    manifest = read_manifest(directory)
    found = {dtype: _measured(directory, log, declaration, dtype) for dtype in _DTYPES}
    run = {
        "seed": seed,
        "hr_at_10": found["float32"]["hr@10"],
        "ndcg_at_10": found["float32"]["ndcg@10"],
        "wall_minutes": minutes,
        "cpu_minutes": cpu_minutes,
        "epochs": len(manifest.training.epochs),
        "validation": manifest.metrics,
        **found,
    }
    if not asked.no_qdrant:
        run["through_qdrant"] = {
            dtype: served.measured(Embedder.load(directory, dtype=dtype), log, declaration, _kept(asked))
            for dtype in _DTYPES
        }
    console.print(json.dumps(run), soft_wrap=True)
    return run


def _measured(
    directory: Path, log: EventLog, declaration: Declaration, dtype: Literal["float32", "bfloat16"]
) -> dict[str, float]:
    scorer = ModelScorer(Embedder.load(directory, dtype=dtype), log)
    return metrics(ranks(log, declaration, leave_one_out(log, declaration), scorer))


def _baselines(log: EventLog, declaration: Declaration) -> dict[str, dict[str, float]]:
    past = log.where(before_last_target(log, declaration))
    rivals = {"popularity": Popularity(past, declaration), "item-kNN": ItemKnn(past, declaration)}
    cases = leave_one_out(log, declaration)
    return {name: metrics(ranks(log, declaration, cases, rival)) for name, rival in rivals.items()}


def _read(directory: Path) -> tuple[EventLog, Declaration]:
    dataset = load("ml-1m", directory)
    return build_log(dataset.in_time_order()), dataset.declaration


def _training(asked: argparse.Namespace, seed: int) -> TrainingOptions:
    """What was chosen on validation; docs/model-quality.md has the comparisons."""
    return TrainingOptions(
        epochs=_ENDLESS,
        patience=_ENDLESS,
        max_minutes=asked.minutes,
        learning_rate=4e-3,
        weight_decay=0.1,
        validation_by="last_target",
        validation_cases=2_000,
        seed=seed,
        threads=asked.threads,
        towers=TowerOptions(max_length=asked.max_length, dropout=asked.dropout, id_dropout=0.05),
    )


def _kept(asked: argparse.Namespace) -> int:
    return max(100, asked.max_length)


def _told(seed: int) -> Any:
    def on_progress(progress: Progress) -> None:
        console.print(
            f"seed {seed} epoch {progress.epoch} {progress.seconds:.0f} s, loss {progress.loss:.3f}, "
            f"validation HR@10 {progress.hr_at_10:.4f} NDCG@10 {progress.ndcg_at_10:.4f}"
        )

    return on_progress


def _mean(runs: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of ml-1m")
    parser.add_argument("--minutes", type=float, default=10, help="of training, a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-length", type=int, default=200, help="L")
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-qdrant", action="store_true")
    parser.add_argument("--out", default="build/quality.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
