"""The baselines that a model competes with, each with the settings that suit this log best.

Settings are chosen on the newest part of what the model was trained and validated on, as a model's own
are, so that no baseline loses by a bad default. Then each is fitted anew on all of it; the model is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.errors import Misconfigured
from kindred.training import factorisation
from kindred.training.baselines import ItemKnn, LivePopularity, Popularity, Reading, Taken
from kindred.training.evaluate import Events, Judge, LiveScorer, Scorer, discounted
from kindred.training.event_log import EventLog

DAY_US = 86_400e6
_HALF_LIVES_DAYS = (0.1, 0.3, 1.0, 3.0, 7.0, 14.0, 30.0, 90.0)
_READINGS = (Reading(10, 0.8), Reading(10, 0.6), Reading(30, 0.9), Reading(200, 1.0))
MOST_READ = max(reading.newest for reading in _READINGS)  # positive events of a history, by any baseline

Build = Callable[[EventLog], Any]
Ranks = Callable[[Any], NDArray[np.int64]]  # of the cases to choose by


@dataclass(frozen=True, slots=True)
class Contender:
    """A baseline ready to rank, and its settings in words."""

    name: str
    scorer: Scorer | LiveScorer
    settings: str


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of baseline: the fits to choose from, by their settings, and ways to read a history.

    `is_live`: it knows what everybody did until the moment of each case.
    """

    name: str
    fits: Mapping[str, Build]
    readings: Sequence[Reading] = ()
    is_live: bool = False


def families(
    log: EventLog, declaration: Declaration, half_life_days: float, wanted: Iterable[str] | None = None
) -> list[Family]:
    """The kinds in `wanted`, by their short names; None: all that are installed.

    The first of a kind's fits and readings is its default. Raises Misconfigured for an unknown name,
    or one whose library is missing.
    """
    known = _families(log, declaration, half_life_days)
    if wanted is None:
        wanted = [name for name in known if name not in _IMPLICIT or factorisation.is_installed()]
    for name in wanted:
        if name not in known:
            raise Misconfigured(f"There is no baseline {name}; choose from {', '.join(known)}.")
        if name in _IMPLICIT and not factorisation.is_installed():
            raise Misconfigured(f"The baseline {name} needs the library implicit: pip install implicit.")
    return [known[name] for name in dict.fromkeys(wanted)]


def missing(wanted: Iterable[str] | None) -> list[str]:
    """What a reader must know of baselines that nobody left out by name."""
    if wanted is not None or factorisation.is_installed():
        return []
    return ["The baselines iALS and BPR were left out: they need a library (pip install implicit)."]


_IMPLICIT = ("als", "bpr")


def _families(log: EventLog, declaration: Declaration, half_life_days: float) -> dict[str, Family]:
    half_lives = dict.fromkeys((half_life_days, *_HALF_LIVES_DAYS))
    recent = {
        f"half-life {days:g} d": partial(Popularity, declaration=declaration, half_life_us=days * DAY_US)
        for days in half_lives
    }
    everything = cache(partial(Taken.of, log, declaration))  # one, and only where it is wanted
    live = {f"half-life {days:g} d": partial(_live, everything, days * DAY_US) for days in half_lives}
    knn = {"": partial(ItemKnn, declaration=declaration)}
    return {
        "popularity": Family("popularity", {"": partial(Popularity, declaration=declaration)}),
        "recent": Family("recent popularity", recent),
        "live": Family("live popularity", live, is_live=True),
        "knn": Family("item-kNN", knn, [Reading(10, decay) for decay in (0.8, 0.6, 0.9)]),
        "als": Family("iALS", _als_fits(declaration), _READINGS),
        "bpr": Family("BPR", _bpr_fits(declaration), _READINGS),
    }


def _live(everything: Callable[[], Taken], half_life_us: float, _: EventLog) -> LivePopularity:
    return LivePopularity(everything(), half_life_us)  # not only what the others learned from


def _als_fits(declaration: Declaration) -> dict[str, Build]:
    return {
        f"{factors} factors, regularization {regularization:g}, alpha {alpha:g}": partial(
            factorisation.Als,
            declaration=declaration, factors=factors, regularization=regularization, alpha=alpha,
        )
        for factors, (regularization, alpha) in product((64, 32), ((10.0, 1.0), (10.0, 10.0), (1.0, 1.0)))
    }  # fmt: skip


def _bpr_fits(declaration: Declaration) -> dict[str, Build]:
    return {
        f"{factors} factors, learning rate {rate:g}, {iterations} iterations": partial(
            factorisation.Bpr,
            declaration=declaration, factors=factors, learning_rate=rate, iterations=iterations,
        )
        for factors, (rate, iterations) in product((64, 128), ((0.02, 100), (0.02, 300), (0.05, 100)))
    }  # fmt: skip


def default(family: Family, learned: EventLog) -> Contender:
    """A baseline as it comes, fitted on `learned`."""
    (settings, build), reading = next(iter(family.fits.items())), next(iter(family.readings), None)
    return Contender(family.name, _reading(build(learned), reading), _in_words(settings, reading))


def tuned(
    family: Family, learned: EventLog, known: EventLog, cases: Events, judge: Judge, k: int = 10
) -> Contender:
    """The settings that rank `cases` best, by NDCG@k, when fitted on `known`; fitted on all of `learned`.

    First the fit is chosen, then how it reads a history: all pairs would cost a fit each.
    """
    if len(family.fits) * max(len(family.readings), 1) == 1 or not len(cases):
        return default(family, learned)
    settings, reading = _best(family, known, lambda scorer: judge.rank(cases, scorer).ranks, k)
    scorer = _reading(family.fits[settings](learned), reading)
    return Contender(family.name, scorer, _in_words(settings, reading))


def _best(family: Family, known: EventLog, ranks: Ranks, k: int) -> tuple[str, Reading | None]:
    """Settings and reading."""
    first = next(iter(family.readings), None)

    def quality(scorer: Any) -> float:
        return float(discounted(ranks(scorer), k).mean())

    def judged(settings: str) -> tuple[float, str, Any]:
        scorer = _reading(family.fits[settings](known), first)
        return quality(scorer), settings, scorer

    # One after another: in memory are the best so far and the one in question, never all.
    _, settings, scorer = max(map(judged, family.fits), key=itemgetter(0))
    reading = max(family.readings, key=lambda each: quality(_reading(scorer, each)), default=None)
    return settings, reading


def _reading(scorer: Any, reading: Reading | None) -> Any:
    if reading is None:
        return scorer
    changed = copy(scorer)
    changed.reading = reading
    return changed


def _in_words(settings: str, reading: Reading | None) -> str:
    read = f"newest {reading.newest}, each older one {reading.decay:g} times" if reading else ""
    return "; ".join(part for part in (settings, read) if part)
