"""The whole report, as plain values: what `kindred evaluate --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from kindred.training.reports.cold_start import ColdStart
from kindred.training.reports.comparison import Comparison
from kindred.training.reports.freshness import Freshness
from kindred.training.reports.in_demand import Demand
from kindred.training.reports.neighbours import Neighbours


class Asked(msgspec.Struct, frozen=True):
    """What was asked: `cases` of the `held_out` events, evenly spaced in time. Times are RFC 3339."""

    split: str
    held_out: int
    cases: int
    users: int
    items: int  # that compete
    from_time: str | None
    to_time: str | None


class Report(msgspec.Struct, frozen=True):
    """Everything about one model on one log. A part is None where it was not asked for or not possible.

    `notes` say what a reader must know about how far the figures carry.
    """

    model: str
    made_at: str
    trained_until: str | None
    asked: Asked
    measures: Sequence[str]
    comparison: Comparison
    freshness: Freshness | None
    demand: Demand | None
    cold_start: ColdStart | None
    neighbours: Neighbours | None
    notes: Sequence[str]


def as_json(report: Report) -> dict[str, Any]:
    """As plain JSON values; every interval is {mean, low, high}."""
    return cast(dict[str, Any], msgspec.to_builtins(report))
