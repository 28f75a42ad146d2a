"""Real data for the demo, by name. The files are not shipped: each reader says where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from kindred.errors import Misconfigured
from kindred.local.dataset import Dataset
from kindred.local.deskdrop import load_deskdrop
from kindred.local.movielens import load_ml_1m, load_ml_100k

READERS: Final[dict[str, Callable[[Path], Dataset]]] = {
    "ml-100k": load_ml_100k,
    "ml-1m": load_ml_1m,
    "deskdrop": load_deskdrop,
}


def load(name: str, directory: Path) -> Dataset:
    """The data set `name` from its own folder. Raises Misconfigured, naming the file that is missing."""
    if name not in READERS:
        raise Misconfigured(f"There is no data set {name}; choose one of {', '.join(READERS)}.")
    return READERS[name](directory)
