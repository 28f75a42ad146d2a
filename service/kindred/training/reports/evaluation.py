"""`kindred evaluate` from end to end: a model and a log -> a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from kindred.declaration import Kind
from kindred.embedding.embedder import Embedder
from kindred.embedding.manifest import Manifest
from kindred.embedding.model import Model
from kindred.training.baselines import LivePopularity, Popularity, PopularityWithin, Taken
from kindred.training.evaluate import Judge, LiveScorer, ModelScorer, Scorer, from_time, leave_one_out
from kindred.training.event_log import EventLog
from kindred.training.holdout import before_last_target
from kindred.training.reports import in_demand, splits
from kindred.training.reports.cold_start import (
    POPULARITY,
    WITHIN,
    WITHOUT_PROFILE,
    ColdStart,
    WithoutProfile,
    new_items,
    newcomers,
)
from kindred.training.reports.comparison import MODEL, Comparison, Rival, compare, items_known, users_met
from kindred.training.reports.contenders import (
    DAY_US,
    MOST_READ,
    Contender,
    Family,
    default,
    families,
    missing,
    tuned,
)
from kindred.training.reports.freshness import Freshness, worth
from kindred.training.reports.in_demand import Demand
from kindred.training.reports.measures import Measures
from kindred.training.reports.neighbours import NO_MOMENT, TOO_FEW_USERS, Neighbours, overlaps
from kindred.training.reports.report import Asked, Report
from kindred.training.reports.splits import evenly

FRESHNESS, DEMAND, COLD_START, NEIGHBOURS = "freshness", "demand", "cold-start", "neighbours"
PARTS = frozenset({FRESHNESS, DEMAND, COLD_START, NEIGHBOURS})
_TUNING_SHARE, _TUNING_CASES = 0.05, 2_000

OnProgress = Callable[[str, int], None]  # what is being done, and how many cases of it are


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is asked. `baselines`: short names, None for all that are installed."""

    split: splits.Kind | None = None
    at: float | None = None
    cutoffs: tuple[int, ...] = (10, 100)
    most_cases: int = 10_000
    baselines: tuple[str, ...] | None = None
    tune: bool = True
    parts: frozenset[str] = PARTS
    half_life_days: float = 14.0
    threads: int = 1


def evaluate(
    model: Model,
    manifest: Manifest,
    log: EventLog,
    options: EvaluationOptions,
    on_progress: OnProgress = lambda step, cases: None,
) -> Report:
    """Judge a model by events that its training never saw. Raises Misconfigured where there are none."""
    return _Evaluation(model, manifest, log, options, on_progress).report()


class _Evaluation:
    """One run: what all parts of it share."""

    def __init__(
        self,
        model: Model,
        manifest: Manifest,
        log: EventLog,
        options: EvaluationOptions,
        on_progress: OnProgress,
    ) -> None:
        item_ids = model.encoder.vocabulary.item_ids
        splits.refuse_another_catalogue(log, item_ids)
        self._known_items = items_known(log, item_ids)
        self._manifest, self._log, self._options = manifest, log, options
        self._declaration = model.declaration
        self._families = families(log, model.declaration, options.half_life_days, options.baselines)
        self._on_progress, self._step, self._done = on_progress, "", 0
        self._split = splits.split(
            log,
            model.declaration,
            manifest,
            kind=options.split,
            at=options.at,
            most_cases=options.most_cases,
        )
        self._reads = max(model.options.max_length, MOST_READ)
        self._judge = self._judge_of(log)
        self._measures = Measures(options.cutoffs)
        self._embedder = Embedder(model, manifest.name, threads=options.threads)
        self._model = ModelScorer(self._embedder, log)

    def report(self) -> Report:
        parts, baselines = self._options.parts, [self._baseline(family) for family in self._families]
        comparison = self._comparison(baselines)
        best = next((each.scorer for each in baselines if each.name == comparison.overall.best), None)
        freshness = self._freshness(best) if FRESHNESS in parts else None
        demand = self._demand() if DEMAND in parts else None
        cold_start = self._cold_start() if COLD_START in parts else None
        neighbours = self._neighbours() if NEIGHBOURS in parts else None
        return Report(
            model=self._manifest.name,
            made_at=self._manifest.created_at,
            trained_until=_moment(self._manifest.trained_on.last_us),
            asked=self._asked(),
            measures=self._measures.names,
            comparison=comparison,
            freshness=freshness,
            demand=demand,
            cold_start=cold_start,
            neighbours=neighbours,
            notes=[*self._split.notes, *missing(self._options.baselines), *self._left_out(neighbours)],
        )

    def _comparison(self, baselines: Sequence[Rival]) -> Comparison:
        self._begin("ranking for the model and its baselines")
        rivals, most = [Rival(MODEL, self._model), *baselines], self._options.most_cases
        return compare(self._split, self._judge, rivals, self._measures, most, self._known_items)

    def _baseline(self, family: Family) -> Rival:
        found = self._contender(family)
        return Rival(found.name, found.scorer, found.settings)

    def _contender(self, family: Family) -> Contender:
        self._begin(f"fitting {family.name}")
        learned = self._split.learned
        if not self._options.tune:
            return default(family, learned)
        if self._split.kind == "leave-one-out":
            cases = leave_one_out(learned, self._declaration)
            before = learned.where(before_last_target(learned, self._declaration))
        else:
            boundary_us = learned.time_at(1 - _TUNING_SHARE)
            cases = from_time(learned, self._declaration, boundary_us)
            before = learned.before(boundary_us)
        cases = evenly(learned, cases, _TUNING_CASES)
        return tuned(family, learned, before, cases, self._judge_of(learned), self._measures.k)

    def _judge_of(self, log: EventLog) -> Judge:
        return Judge(log, self._declaration, self._told, reads=self._reads)

    def _freshness(self, best: Scorer | LiveScorer | None) -> Freshness:
        self._begin("ranking with older vectors")
        split, measures = self._split, self._measures
        return worth(self._judge, split.cases, self._model, measures, split.starts_at_us, best)

    def _demand(self) -> Demand | None:
        self._begin("ranking with demand beside taste")
        days = self._options.half_life_days
        live = LivePopularity(Taken.of(self._log, self._declaration), days * DAY_US)
        return in_demand.worth(self._judge, self._split.cases, self._model, live, self._measures, days)

    def _cold_start(self) -> ColdStart:
        self._begin("ranking for newcomers")
        new = ~users_met(self._split.learned)
        steps = newcomers(self._judge, new, self._rivals_for_newcomers(), self._measures)
        items = new_items(self._judge, ~self._known_items, self._split.cases, self._model, self._measures)
        return ColdStart(int(np.count_nonzero(new & self._log.from_start)), steps, items)

    def _rivals_for_newcomers(self) -> list[Rival]:
        learned, declaration = self._split.learned, self._declaration
        popularity = [Rival(POPULARITY, Popularity(learned, declaration))]
        within = [
            Rival(f"{WITHIN}{name}", PopularityWithin(learned, declaration, name))
            for name, feature in declaration.user.items()
            if feature.kind is Kind.CATEGORY
        ]
        has_profile = declaration.user or declaration.user_id_buckets
        blind = [Rival(WITHOUT_PROFILE, WithoutProfile(self._model))] if has_profile else []
        return [Rival(MODEL, self._model), *blind, *popularity, *within]

    def _neighbours(self) -> Neighbours | None:
        starts_at_us = self._split.starts_at_us
        if starts_at_us is None:
            return None
        self._begin("comparing similar users")
        return overlaps(self._embedder.embed, self._log, self._declaration, starts_at_us)

    def _left_out(self, neighbours: Neighbours | None) -> Iterator[str]:
        if neighbours is None and NEIGHBOURS in self._options.parts:
            yield NO_MOMENT if self._split.starts_at_us is None else TOO_FEW_USERS

    def _asked(self) -> Asked:
        cases, log = self._split.cases, self._log
        return Asked(
            split=self._split.kind,
            held_out=self._split.held_out,
            cases=len(cases),
            users=len(np.unique(log.users[cases])),
            items=int(np.count_nonzero(~log.removed)),
            from_time=_moment(int(log.times_us[cases].min())),
            to_time=_moment(int(log.times_us[cases].max())),
        )

    def _begin(self, step: str) -> None:
        self._step, self._done = step, 0
        self._on_progress(step, 0)

    def _told(self, cases: int) -> None:
        self._done += cases
        self._on_progress(self._step, self._done)


def _moment(time_us: int | None) -> str | None:
    return None if time_us is None else datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()
