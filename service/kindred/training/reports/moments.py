"""Where in a user's events a moment lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kindred.training.evaluate import Events
from kindred.training.event_log import EventLog


def first_from(log: EventLog, users: NDArray[np.int64], times_us: NDArray[np.int64]) -> Events:
    """(n,) each user's first event at or after the user's moment; where there is none, one past the last."""
    bounds = zip(log.offsets[users], log.offsets[users + 1], times_us, strict=True)
    found = [start + np.searchsorted(log.times_us[start:end], time_us) for start, end, time_us in bounds]
    return np.array(found, np.int64)
