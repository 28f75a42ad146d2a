"""How far users' vectors move when a model is retrained, with and without alignment.

    python tests/benchmarks/retrain.py --data ml-100k/

Three trainings, on the oldest 80 %, 90 % and all events, each under a seed of its own. What moves is measured
on the same users with the same histories, as of the first training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import Model
from kindred.local import datasets
from kindred.training.alignment import Space, settle
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog
from kindred.training.options import TrainingOptions
from kindred.training.train import fit

SHARES = (0.8, 0.9, 1.0)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    dataset = datasets.load(options.data.name, options.data)
    log = build_log(dataset.in_time_order())
    models = [_trained(log, dataset.declaration, share, options.epochs) for share in SHARES]
    _, anchor = settle(models[0], log.before(log.time_at(SHARES[0])), None)
    first = _vectors(models[0], log)
    print("| retrained on | cosine | tenth of users below | cosine, aligned | tenth of users below |")
    print("|---|---|---|---|---|")
    for share, model in zip(SHARES[1:], models[1:], strict=True):
        free = _cosines(first, _vectors(model, log))
        lineage, _ = settle(model, log, Space("first", anchor))
        aligned = _cosines(first, _vectors(model, log))
        cells = [
            f"{value:.3f}" for moved in (free, aligned) for value in (moved.mean(), np.quantile(moved, 0.1))
        ]
        print(f"| {share:.0%} | " + " | ".join(cells) + f" | by {lineage.shared_items} items", flush=True)


def _trained(log: EventLog, declaration: Declaration, share: float, epochs: int) -> Model:
    known = log if share == 1 else log.before(log.time_at(share))
    options = TrainingOptions(epochs=epochs, patience=epochs, seed=int(100 * share))
    fitted = fit(known, declaration, options)
    print(f"{len(known):,} events: {msgspec.json.encode(fitted.metrics).decode()}", flush=True)
    return fitted.model


def _vectors(model: Model, log: EventLog) -> NDArray[np.float32]:
    """Of every user who had five interactions by the first training, as of the newest of them."""
    then = log.before(log.time_at(SHARES[0]))
    users = np.flatnonzero(np.diff(then.offsets) >= 5)
    embedder = Embedder(model, "measured")
    embedder.update_items(log.catalogue())
    return embedder.embed(then.histories(then.offsets[users + 1] - 1))


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    cosines: NDArray[np.float32] = (one * other).sum(axis=1)
    return cosines


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder named as its data set, such as ml-100k"
    )
    parser.add_argument("--epochs", type=int, default=12)
    return parser.parse_args()


if __name__ == "__main__":
    main()
