"""What a person may choose about a demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kindred.local.datasets import READERS

FILM_SHOP: Final = "film-shop"
DATASETS: Final = (FILM_SHOP, *READERS)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`events`: about so many interactions of the film shop, or the first so many of a real data set."""

    dataset: str = FILM_SHOP
    data_dir: Path | None = None
    report: Path | None = None
    seed: int = 7
    events: int | None = None
    train_seconds: float = 45.0
    paced_rate: float = 500.0  # events/s at which freshness is measured
    paced_seconds: float = 10.0
    compared_events: int = 4_000  # of known users, and as many of new ones
