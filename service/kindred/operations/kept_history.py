"""A model that reads more than workers keep: it is served, but never reads as much as in training."""

from __future__ import annotations

from kindred.server_settings import MOST_KEPT
from kindred.settings import Settings


def shortfall(max_length: int, settings: Settings) -> str | None:
    """What is wrong and what to do, as the rest of a sentence on the model; None where enough is kept."""
    kept = settings.postgres.history_limit
    if max_length <= kept:
        return None
    wrong = f"reads the newest {max_length} interactions, but a worker keeps {kept}"
    if max_length > MOST_KEPT:
        return f"{wrong}, and {MOST_KEPT} at most: train with a smaller --max-length"
    return f"{wrong}: set KINDRED_POSTGRES__HISTORY_LIMIT={max_length} for all workers"
