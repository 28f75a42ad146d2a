"""Every knob of a training run."""

from __future__ import annotations

from typing import Literal

import msgspec

from kindred.embedding.options import TowerOptions


class TrainingOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, how fast, and on what."""

    epochs: int = 12  # of a schedule that cools to zero: fewer is no early stop, but a faster one
    max_minutes: float | None = None
    batch_windows: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.3
    warm_up_share: float = 0.05
    validation_share: float = 0.05  # newest share of all events, never trained on
    validation_by: Literal["time", "last_target"] = "time"  # or each user's newest, for leave-one-out
    validation_cases: int = 2_000
    patience: int = 5  # epochs without a better NDCG@10
    full_softmax_items: int = 50_000  # larger catalogues are sampled
    sampled_items: int = 8_192
    seed: int = 0
    threads: int = 1
    towers: TowerOptions = TowerOptions()
