"""Which events a model may honestly be judged by: those that its training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.manifest import Manifest
from kindred.errors import Misconfigured
from kindred.training import evaluate
from kindred.training.evaluate import Events
from kindred.training.event_log import EventLog
from kindred.training.holdout import before_last_target, held_out_items, held_out_users

Kind = Literal["temporal", "leave-one-out"]


@dataclass(frozen=True, slots=True)
class Split:
    """The events to be predicted, and the log that the baselines learn from.

    `learned`: what the model was trained on and what it was validated on, which the manifest doesn't tell
    apart. The model's weights never saw the latter; the baselines get both.

    `held_out`: so many events could be asked about, of which `cases` are, evenly spaced in time.
    `starts_at_us`: the first moment that is asked about, None where each user has an own one.
    """

    kind: Kind
    cases: Events
    held_out: int
    learned: EventLog
    starts_at_us: int | None
    notes: Sequence[str]


def split(
    log: EventLog,
    declaration: Declaration,
    manifest: Manifest,
    *,
    kind: Kind | None = None,
    at: float | None = None,
    most_cases: int = 10_000,
) -> Split:
    """What a model of this manifest can be asked about this log.

    `kind` None: leave-one-out for a model that was trained so, temporal for any other. `at`: only
    events from this share of the log on. Raises Misconfigured when training saw all that is asked.
    """
    chosen = kind or ("leave-one-out" if manifest.held_out.last_targets else "temporal")
    if chosen == "temporal":
        found = _temporal(log, declaration, manifest, at)
    elif at is None:
        found = _leave_one_out(log, declaration, manifest)
    else:
        raise Misconfigured("--at is a moment in time, so it goes with --split temporal only.")
    return replace(found, cases=evenly(log, found.cases, most_cases))


def _temporal(log: EventLog, declaration: Declaration, manifest: Manifest, at: float | None) -> Split:
    trained_until_us = manifest.trained_on.last_us or 0
    starts_at_us = trained_until_us + 1 if at is None else log.time_at(at)
    if starts_at_us <= trained_until_us:
        asked = (log.times_us >= starts_at_us) & (log.times_us <= trained_until_us)
        raise Misconfigured(
            f"The model learned from events up to {_moment(trained_until_us)}, "
            f"{np.count_nonzero(asked):,} of them later "
            f"than --at {at}: it would be judged by what it has seen. Leave --at out, or train again with "
            f"--holdout {1 - (at or 0):.2g}."
        )
    cases = evaluate.from_time(log, declaration, starts_at_us)
    if not len(cases):
        raise Misconfigured(
            "No event of this log is later than what the model was trained on, so nothing is held out. "
            "Evaluate on newer events, or train with --holdout 0.1."
        )
    learned = _without_held_out(log, manifest, log.times_us <= trained_until_us)
    return Split("temporal", cases, len(cases), learned, starts_at_us, _notes(learned, manifest))


def _leave_one_out(log: EventLog, declaration: Declaration, manifest: Manifest) -> Split:
    cases = evaluate.leave_one_out(log, declaration)
    earlier = before_last_target(log, declaration)
    learned = _without_held_out(log, manifest, earlier)
    if manifest.held_out.last_targets and learned.training_range() == manifest.trained_on:
        return Split("leave-one-out", cases, len(cases), learned, None, [_SEES_THE_FUTURE])
    later = cases[log.times_us[cases] > (manifest.trained_on.last_us or 0)]
    if not len(later):
        raise Misconfigured(
            "Each user's newest event was part of this model's training. Train with --hold-out-last, "
            "evaluate on the same log, or use --split temporal on newer events."
        )
    left_out = f"{len(cases) - len(later):,} of {len(cases):,} users were left out: training saw their newest"
    learned = _without_held_out(log, manifest, earlier & (log.times_us <= (manifest.trained_on.last_us or 0)))
    return Split("leave-one-out", later, len(later), learned, None, [_SEES_THE_FUTURE, f"{left_out} event."])


def evenly(log: EventLog, cases: Events, at_most: int) -> Events:
    """At most so many of the cases, evenly spaced in time."""
    if len(cases) <= at_most:
        return cases
    in_time = cases[np.argsort(log.times_us[cases], kind="stable")]
    return np.sort(in_time[np.linspace(0, len(cases) - 1, at_most).astype(np.int64)])


def refuse_another_catalogue(log: EventLog, known_items: Sequence[str]) -> None:
    """Raises Misconfigured where there is no event, or the model knows no item of this log."""
    if not len(log):
        raise Misconfigured(
            "There is no event in this log. Is it the right file, and does the declaration name its types?"
        )
    if not set(known_items).intersection(log.item_ids):
        raise Misconfigured(
            "The model knows none of this log's items: it was trained on another catalogue. "
            "Name the checkpoint that was trained on these events, or the log that belongs to it."
        )


def _without_held_out(log: EventLog, manifest: Manifest, kept: NDArray[np.bool_]) -> EventLog:
    users, items = held_out_users(log, manifest.held_out), held_out_items(log, manifest.held_out)
    return log.where(kept & ~users[log.users] & ~items[log.items])


def _notes(learned: EventLog, manifest: Manifest) -> list[str]:
    here, then = learned.training_range().interactions, manifest.trained_on.interactions
    if here == then:
        return []
    return [
        f"This log has {here:,} events from the time of training, the model was trained on {then:,}: it is "
        "not the same log, or late events have come since. Baselines learn from what is here."
    ]


def _moment(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


_SEES_THE_FUTURE = (
    "Leave-one-out lets every model learn from events that others made later than the case; only the "
    "temporal split shows what a live service would reach."
)
