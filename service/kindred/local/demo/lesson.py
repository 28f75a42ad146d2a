"""The demo's training run: on what lies before the cut, within a time budget."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from kindred.local.demo.options import DemoOptions
from kindred.local.demo.report import Training
from kindred.local.demo.scenario import Scenario
from kindred.local.training_bar import training_bar
from kindred.training.options import TrainingOptions
from kindred.training.run import Progress
from kindred.training.train import train

MOST_THREADS = 1


def train_model(data: Scenario, checkpoint: Path, options: DemoOptions, live: Console) -> Training:
    """Write the demo's checkpoint. Raises Misconfigured where there is nothing to learn from."""
    chosen = TrainingOptions(
        max_minutes=options.train_seconds / 60,
        seed=options.seed,
        threads=min(MOST_THREADS, os.cpu_count() or 1),
    )
    epochs: list[Progress] = []
    began = time.monotonic()
    with training_bar(live, log_epochs=False) as (show, on_share):

        def on_progress(epoch: Progress) -> None:
            epochs.append(epoch)
            show(epoch)

        train(
            data.training_log, data.dataset.declaration, chosen, checkpoint,
            now=datetime.now(UTC), on_progress=on_progress, on_share=on_share,
        )  # fmt: skip
    best = max(epoch.ndcg_at_10 for epoch in epochs)
    return Training(len(data.training_log), len(epochs), time.monotonic() - began, best)
