"""A straight line through noisy samples: does it rise, or is that noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Trend:
    """Least squares. `noise`: standard deviation around the line, in the unit of the samples."""

    per_hour: float
    error_per_hour: float  # standard error of the slope, as if samples were independent
    noise: float
    hours: float

    @property
    def is_within_noise(self) -> bool:
        """Whether all that it rose is less than twice the noise."""
        return self.per_hour * self.hours <= 2 * self.noise


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """Of at least three samples."""
    hours = np.array(seconds) / 3600
    (slope, offset), covariance = np.polyfit(hours, values, 1, cov="unscaled")
    residuals = np.array(values) - (slope * hours + offset)
    noise = float(np.sqrt((residuals**2).sum() / max(1, len(hours) - 2)))
    error = float(np.sqrt(covariance[0, 0]) * noise)
    return Trend(float(slope), error, noise, float(hours[-1] - hours[0]))
