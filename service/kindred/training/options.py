"""Every knob of a training run."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kindred.embedding.options import TowerOptions
from kindred.training.precision import Precision

LossName = Literal["auto", "full", "sampled", "in-batch", "triplet"]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_AtLeast0 = Annotated[float, msgspec.Meta(ge=0)]


class TrainingOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, how fast, and on what."""

    epochs: int = 12  # of a schedule that cools to zero: fewer is no early stop, but a faster one
    max_minutes: float | None = None
    batch_tokens: int = 4_096  # interactions of a step, padding aside
    learning_rate: float = 3e-3
    weight_decay: float = 0.3
    warm_up_share: float = 0.05
    averaging: float = 0.999  # how slowly a step's weights fade from the mean that ships; 0: only the last
    precision: Precision = "auto"
    half_life_days: _Positive | None = None  # in the second half, so much older is asked half as often
    validation_share: float = 0.05  # newest share of all events, never trained on; 0: the last epoch ships
    validation_by: Literal["time", "last_target"] = "time"  # or each user's newest, for leave-one-out
    validation_cases: int = 2_000
    patience: int = 5  # epochs without a better NDCG@10, ties broken by MRR
    loss: LossName = "auto"  # full softmax, sampled for large catalogues
    full_softmax_items: int = 50_000  # what "auto" calls large is larger than this
    sampled_items: int = 8_192  # candidates a step, of the sampled loss
    triplet_margin: float = 1.0  # in logits
    triplet_negatives: Literal["semi-hard", "random"] = "semi-hard"
    negative_weight: _AtLeast0 = (
        1.0  # of pushing a disliked item away, against that of drawing a wanted one near
    )
    seed: int = 0
    threads: int = 1
    towers: TowerOptions = TowerOptions()
