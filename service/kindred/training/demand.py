"""First tastes, then demand: in the second half of a training, old targets are asked about less often.

What is in demand changes, and old demand misleads; but whose taste is like whose, old events tell as well.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kindred.training.event_log import EventLog

BEGINS = 0.5  # share of a training, by epochs or by its budget, as the learning rate goes


def odds(log: EventLog, half_life_days: float) -> NDArray[np.float32]:
    """(events,) how likely an epoch asks about each: half as likely for each half-life of its age."""
    ages_days = (log.times_us.max(initial=0) - log.times_us) / 86_400e6
    found: NDArray[np.float32] = np.exp2(-ages_days / half_life_days).astype(np.float32)
    return found


def log_popularity(rows: NDArray[np.int32], row_count: int) -> Tensor:
    """(N,) log of each known item's share of the targets, whose `rows` of the item table are given."""
    # One is added, so that an item without targets can be drawn as a negative too.
    counts = np.bincount(rows, minlength=row_count)[1:] + 1.0
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))


def log_demand(rows: NDArray[np.int32], row_count: int, odds: NDArray[np.float32]) -> Tensor:
    """(N,) log of each known item's expected share of the targets that are asked about with these odds.

    Nothing is added here: it would outweigh what little is left of old targets. An item that cannot be
    asked about has a very small share.
    """
    counts = np.bincount(rows, odds, minlength=row_count)[1:]
    least = float(np.finfo(np.float32).tiny)
    return torch.from_numpy(np.log(np.maximum(counts / max(counts.sum(), least), least)).astype(np.float32))
