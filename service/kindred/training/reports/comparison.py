"""A model against its baselines, on the same cases and the same fresh histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.training.evaluate import Events, Judge, LiveScorer, Rules, Scorer
from kindred.training.event_log import EventLog, has_type
from kindred.training.intervals import Bootstrap, Interval, bootstrap
from kindred.training.ranking import Ranking
from kindred.training.reports.measures import Measured, Measures
from kindred.training.reports.splits import Split, evenly
from kindred.training.targets import new_to_user, on_removed

MODEL = "this model"


@dataclass(frozen=True, slots=True)
class Rival:
    """Whoever ranks: the model, or a baseline with its settings in words."""

    name: str
    scorer: Scorer | LiveScorer
    settings: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it knows what everybody did until the moment of each case."""
        return isinstance(self.scorer, LiveScorer)


class Taste(msgspec.Struct, frozen=True):
    """Items by their popularity in what was learned from.

    `events`: mean positive events of an item. `percentile`: mean place among all items, 1 the most
    popular. `coverage`: share of the catalogue that occurs at all, a count, so without an interval.
    """

    events: float
    percentile: Interval
    coverage: float


class Row(msgspec.Struct, frozen=True):
    """One rival's results. `gain`: the model minus it, paired; empty for the model itself."""

    name: str
    settings: str
    is_live: bool
    measures: Measured
    gain: Measured
    taste: Taste | None = None


class Group(msgspec.Struct, frozen=True):
    """Some of the cases. `best`: the best baseline by NDCG, live ones left out."""

    name: str
    cases: int
    users: int
    rows: Sequence[Row]
    best: str | None


class Comparison(msgspec.Struct, frozen=True):
    """All first-time pairs, then parts of them, then repeated pairs (which seen items compete in)."""

    k: int
    targets: Taste
    overall: Group
    groups: Sequence[Group]


def compare(
    split: Split,
    judge: Judge,
    rivals: Sequence[Rival],
    measures: Measures,
    at_most: int,
    known_items: NDArray[np.bool_],
) -> Comparison:
    """`rivals`: the model first. At most so many cases of each kind are ranked.

    `known_items` (items,) marks those that the model knows by their ids.
    """
    log, cases = judge.log, split.cases
    found = [judge.rank(cases, rival.scorer, best=measures.k) for rival in rivals]
    taste, users = _Tastes(split.learned, judge.declaration), log.users[cases]
    everyone = _group("first-time pairs", log, cases, None, rivals, found, measures)
    rows = [
        msgspec.structs.replace(row, taste=taste.of(ranking.best, users))
        for row, ranking in zip(everyone.rows, found, strict=True)
    ]
    parts = [
        _group(name, log, cases, chosen, rivals, found, measures)
        for name, chosen in _parts(split, log, cases, known_items)
        if chosen.any()
    ]
    return Comparison(
        k=measures.k,
        targets=taste.of(log.items[cases][:, None], users),
        overall=msgspec.structs.replace(everyone, rows=rows),
        groups=[*parts, *_repeated(split, judge, rivals, measures, at_most)],
    )


def users_met(learned: EventLog) -> NDArray[np.bool_]:
    """(users,) of whom there was an event to train or validate on."""
    met: NDArray[np.bool_] = np.diff(learned.offsets) > 0
    return met


def items_known(log: EventLog, item_ids: Iterable[str]) -> NDArray[np.bool_]:
    """(items,) whose id a model's vocabulary holds.

    Events alone don't tell: those that a model was validated on are not in its weights, and an item that
    occurs in no others is as new to it as one of tomorrow.
    """
    known = frozenset(item_ids)
    return np.array([item_id in known for item_id in log.item_ids], bool)


def _parts(
    split: Split, log: EventLog, cases: Events, known_items: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    users, items = users_met(split.learned)[log.users[cases]], known_items[log.items[cases]]
    yield "both known", users & items
    yield "users known", users
    yield "users new", ~users
    yield "items known", items
    yield "items new", ~items


def _repeated(
    split: Split, judge: Judge, rivals: Sequence[Rival], measures: Measures, at_most: int
) -> Iterator[Group]:
    """Events on items that their users had seen: nobody recommends those, so seen items compete here."""
    log = judge.log
    late = log.times_us >= split.starts_at_us if split.starts_at_us is not None else np.zeros(len(log), bool)
    again = has_type(log, judge.declaration.positive_types) & ~new_to_user(log, judge.declaration)
    cases = evenly(log, np.flatnonzero(late & again & ~on_removed(log)), at_most)
    if len(cases):
        found = [judge.rank(cases, rival.scorer, rules=Rules(seen=True)) for rival in rivals]
        yield _group("repeated pairs", log, cases, None, rivals, found, measures)


def _group(
    name: str,
    log: EventLog,
    cases: Events,
    chosen: NDArray[np.bool_] | None,
    rivals: Sequence[Rival],
    found: Sequence[Ranking],
    measures: Measures,
) -> Group:
    """Results over the `chosen` (n,) of the cases; None: all."""
    chosen = np.ones(len(cases), bool) if chosen is None else chosen
    users = log.users[cases[chosen]]
    draws, columns = Bootstrap(users), [measures.columns(ranking.ranks[chosen]) for ranking in found]
    rows = [
        Row(
            rival.name, rival.settings, rival.is_live, measures.means(own, draws),
            measures.means(columns[0] - own, draws) if own is not columns[0] else {},
        )
        for rival, own in zip(rivals, columns, strict=True)
    ]  # fmt: skip
    baselines = [row for row in rows[1:] if not row.is_live]
    best = max(baselines, key=lambda row: row.measures[measures.main].mean, default=None)
    return Group(name, len(users), len(np.unique(users)), rows, best.name if best else None)


class _Tastes:
    """Popularity of items in what was learned from."""

    def __init__(self, learned: EventLog, declaration: Declaration) -> None:
        positive = has_type(learned, declaration.positive_types)
        self._counts = np.bincount(learned.items[positive], minlength=len(learned.item_ids))
        self._there = int((~learned.removed).sum())  # what is removed is never recommended
        # Ties share their mean place, so that a thousand unknown items aren't ordered by their number.
        places = np.sort(self._counts)
        first, last = (np.searchsorted(places, self._counts, side) for side in ("left", "right"))
        self._percentiles = (first + last - 1) / 2 / max(len(places) - 1, 1)

    def of(self, items: NDArray[np.signedinteger[Any]], users: NDArray[np.int64]) -> Taste:
        """Of the items (n, k) that these users (n,) are recommended or took; -1 stands for none."""
        cases, places = np.nonzero(items >= 0)
        found = items[cases, places]
        return Taste(
            float(self._counts[found].mean()),
            bootstrap(self._percentiles[found], users[cases]),
            len(np.unique(found)) / self._there,
        )
