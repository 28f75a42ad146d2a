"""Cold start: users and items that training never met.

A newcomer's target is the event after exactly n others, so at n = 0 it is the very first, and the vector
is made from the profile alone. An item's vector is made from its description alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.history.window import Histories
from kindred.training.evaluate import Events, Judge, LiveScorer, Rules, Scorer
from kindred.training.intervals import Bootstrap
from kindred.training.reports.comparison import Rival
from kindred.training.reports.measures import Measured, Measures
from kindred.training.targets import target_events

STEPS = (0, 1, 2, 5, 10, 20)
POPULARITY, WITHIN, WITHOUT_PROFILE = "popularity", "within ", "without the profile"  # names of rivals


class Newcomer(msgspec.Struct, frozen=True):
    """One rival after so many events. `gain`: the model minus it, paired; empty for the model.

    `over_popularity`: popularity within a group minus that of all, paired; empty for the others.
    """

    name: str
    measures: Measured
    gain: Measured
    over_popularity: Measured = {}


class Step(msgspec.Struct, frozen=True):
    """Newcomers of whom `events` are known."""

    events: int
    cases: int
    rows: Sequence[Newcomer]


class NewItems(msgspec.Struct, frozen=True):
    """Items by their description alone. `among_all`: the whole catalogue competes; `among_new`: only
    items that the model does not know. `chance`: HR@k of a blind guess among the new.
    """

    items: int
    described: int
    cases: int
    among_all: Measured
    among_new: Measured
    chance: float


class ColdStart(msgspec.Struct, frozen=True):
    """`users` of this log were never trained on: held out, or they came later."""

    users: int
    steps: Sequence[Step]
    items: NewItems | None


class WithoutProfile:
    """A scorer that is told nothing about its users but their history."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        # The id as well: a declaration with user_id_buckets makes it a part of the profile.
        count = len(histories)
        return self._scorer.scores(replace(histories, user_ids=[""] * count, profiles=[{}] * count))


def newcomers(
    judge: Judge, users: NDArray[np.bool_], rivals: Sequence[Rival], measures: Measures
) -> list[Step]:
    """`users` (users,) marks those that training never met; the first rival is the model."""
    log = judge.log
    asked = target_events(log, judge.declaration)
    starts, lengths = log.offsets[:-1][users & log.from_start], np.diff(log.offsets)[users & log.from_start]
    steps = []
    for known in STEPS:
        cases = starts[lengths > known] + known
        if len(cases := cases[asked[cases]]):
            steps.append(_step(judge, known, cases, rivals, measures))
    return steps


def new_items(
    judge: Judge, items: NDArray[np.bool_], cases: Events, model: Scorer | LiveScorer, measures: Measures
) -> NewItems | None:
    """`items` (items,) marks those that the model does not know; None where no case asks for one."""
    log = judge.log
    asked = cases[items[log.items[cases]]]
    if not len(asked):
        return None
    draws = Bootstrap(log.users[asked])
    among_all, among_new = (
        measures.means(measures.columns(judge.rank(asked, model, rules=rules).ranks), draws)
        for rules in (Rules(), Rules(items=items))
    )
    there = np.flatnonzero(items & ~log.removed).tolist()
    count, described = len(there), sum(log.attributes[number] is not None for number in there)
    return NewItems(count, described, len(asked), among_all, among_new, min(measures.k / count, 1.0))


def _step(judge: Judge, known: int, cases: Events, rivals: Sequence[Rival], measures: Measures) -> Step:
    draws = Bootstrap(judge.log.users[cases])
    columns = {rival.name: measures.columns(judge.rank(cases, rival.scorer).ranks) for rival in rivals}
    model = columns[rivals[0].name]
    rows = [
        Newcomer(
            name,
            measures.means(own, draws),
            measures.means(model - own, draws) if own is not model else {},
            measures.means(own - columns[POPULARITY], draws) if name.startswith(WITHIN) else {},
        )
        for name, own in columns.items()
    ]
    return Step(known, len(cases), rows)
