"""What a demo found: for the screen, and as one flat JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindred.errors import Misconfigured
from kindred.local.demo.newcomer import Newcomer
from kindred.local.demo.options import DemoOptions
from kindred.local.demo.person import Portrait
from kindred.local.demo.recall import CUTOFFS, Comparison
from kindred.local.demo.scenario import Scenario
from kindred.local.demo.stream import Streamed


@dataclass(frozen=True, slots=True)
class Training:
    """What the model of the demo learned from, and for how long."""

    events: int
    epochs: int
    seconds: float
    ndcg_at_10: float


@dataclass(frozen=True, slots=True)
class Streams:
    """The three streams: up to the cut, then the rest at full speed and at a steady rate."""

    history: Streamed
    full_speed: Streamed
    paced: Streamed
    paced_rate: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a demo measured and asked."""

    training: Training
    streams: Streams
    portrait: Portrait
    newcomers: Sequence[Newcomer]
    known: Comparison
    new: Comparison
    dead_letters: int
    seconds_total: float


def as_json(options: DemoOptions, scenario: Scenario, found: Findings) -> dict[str, Any]:
    """All figures. Names ending in `_ms` or `_seconds` say their unit; shares lie between 0 and 1."""
    streams = found.streams
    return {
        "dataset": options.dataset,
        "seed": options.seed,
        "interactions": len(scenario.dataset.interactions),
        "users": len(scenario.log.user_ids),
        "items": len(scenario.log.item_ids),
        "training_events": found.training.events,
        "training_epochs": found.training.epochs,
        "training_seconds": round(found.training.seconds, 2),
        "validation_ndcg_at_10": found.training.ndcg_at_10,
        "history_events_per_second": round(streams.history.per_second, 1),
        "events_per_second": round(streams.full_speed.per_second, 1),
        "events_at_full_speed": streams.full_speed.records,
        "events_paced": streams.paced.records,
        "paced_events_per_second": streams.paced_rate,
        "freshness_p50_ms": streams.paced.freshness_ms(0.5),
        "freshness_p99_ms": streams.paced.freshness_ms(0.99),
        "cold_start_ms": round(found.newcomers[0].milliseconds, 1),
        **dict(_recall(found.known, "")),
        **dict(_recall(found.new, "_new_users")),
        "dead_letters": found.dead_letters,
        "seconds_total": round(found.seconds_total, 1),
    }


def check_writable(path: Path) -> None:
    """Raises Misconfigured now rather than after minutes of work."""
    if not path.parent.is_dir() or path.is_dir():
        raise Misconfigured(f"The report {path} cannot be written: its folder is missing, or it is a folder.")


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write the JSON document. Raises Misconfigured."""
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise Misconfigured(f"The report {path} cannot be written: {error.strerror}.") from error


def _recall(comparison: Comparison, suffix: str) -> Iterator[tuple[str, Any]]:
    for cutoff in CUTOFFS:
        name, gain = f"recall_at_{cutoff}", comparison.gains.get(cutoff)
        yield f"{name}_frozen{suffix}", gain and gain.frozen
        yield f"{name}_fresh{suffix}", gain and gain.fresh
        yield f"{name}_gain{suffix}", gain and gain.difference.mean
        yield f"{name}_gain_interval{suffix}", gain and [gain.difference.low, gain.difference.high]
    yield f"compared_events{suffix}", comparison.compared
    yield f"later_events{suffix}", comparison.events
    yield f"compared_users{suffix}", comparison.users
    yield f"unseen_items_share{suffix}", comparison.unseen_items
