"""Small logs for tests of training and evaluation, written as what happened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from kindred.events.schema import Interaction, Profile
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24


def log_of(
    *steps: tuple[str, str, float], profiles: Mapping[str, Mapping[str, object]] | None = None
) -> EventLog:
    """Each step is a user, an item that is watched, and the day, which may have a fraction."""
    return build_log([*_watched(steps), *_described(profiles or {})])


def _watched(steps: Iterable[tuple[str, str, float]]) -> Iterable[Interaction]:
    for at, (user, item, day) in enumerate(steps):
        yield Interaction(f"e{at:06}", user, item, "watch", round(day * DAY_US), None, None)


def _described(profiles: Mapping[str, Mapping[str, object]]) -> Iterable[Profile]:
    for user, attributes in profiles.items():
        yield Profile(user, 0, json.dumps(attributes), b"")
