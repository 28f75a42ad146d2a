"""What the figures for newcomers say, in sentences: above all whether popularity would serve them better.

A difference counts only where its 95 % interval leaves zero out; anything else is no difference shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from kindred.training.reports.cold_start import (
    POPULARITY,
    WITHIN,
    WITHOUT_PROFILE,
    ColdStart,
    Newcomer,
    NewItems,
    Step,
)
from kindred.training.reports.verdicts import about, more_or_less, plural, sign, spread, verdict

_FEW_CASES = 200


def of_cold_start(cold: ColdStart, k: int) -> list[str]:
    """The model against popularity after each number of events, what to do, and what descriptions add."""
    measure = f"NDCG@{k}"
    return [
        *_nobody(cold),
        *(sentence for step in cold.steps if not step.events for sentence in _before_any(step, measure)),
        *_after_some([step for step in cold.steps if step.events], measure),
        *(_described_items(cold.items, f"HR@{k}") if cold.items else ()),
    ]


def _nobody(cold: ColdStart) -> Iterator[str]:
    if cold.steps:
        return
    nobody = "Nobody in this log is new to the model"
    if cold.users:
        nobody = f"None of the {cold.users:,} users new to the model took anything that can be asked about"
    yield f"{nobody}: train with --hold-out-users 0.05 to ask."


def _before_any(step: Step, measure: str) -> Iterator[str]:
    gains = ", ".join(f"{spread(row.gain[measure])} from {_named(row)}" for row in _popularities(step.rows))
    yield _against_popularity("before their first event", _verdicts(step, measure), measure)
    yield f"There its {measure} differs by {gains}."
    yield from _before_the_first_event(step, measure)


def _after_some(steps: Sequence[Step], measure: str) -> Iterator[str]:
    """A sentence for all neighbouring numbers of events with the same verdicts."""
    for verdicts, several in groupby(steps, key=lambda step: _verdicts(step, measure)):
        events = [step.events for step in several]
        numbers = " and ".join(filter(None, [", ".join(map(str, events[:-1])), str(events[-1])]))
        yield _against_popularity(f"after {numbers} {plural('event', events[-1])}", verdicts, measure)


def _against_popularity(when: str, verdicts: str, measure: str) -> str:
    return f"For newcomers {when} the model is, by {measure}, {verdicts}."


def _verdicts(step: Step, measure: str) -> str:
    """Such as: ahead of popularity; behind popularity within country."""
    found: dict[str, list[str]] = {}
    for row in _popularities(step.rows):
        found.setdefault(verdict(row.gain[measure]), []).append(_named(row))
    return "; ".join(f"{each} {', '.join(named)}" for each, named in found.items())


def _before_the_first_event(step: Step, measure: str) -> Iterator[str]:
    popularity, *within = _popularities(step.rows)
    if sign(popularity.gain[measure]) < 0:
        yield _ASK_FOR_POPULAR
    if ahead := [_named(row) for row in within if sign(row.gain[measure]) < 0]:
        yield f"No call answers by {' or '.join(ahead)}, which would serve them better: count it yourself."
    for row in step.rows:
        if row.name == WITHOUT_PROFILE:
            gain = row.gain[measure]
            what = {1: "helps", 0: "cannot be shown to help", -1: "harms"}[sign(gain)]
            yield f"At that point the profile {what}: {measure} {spread(gain)} against leaving it out."
    yield from (_within(row, popularity, measure) for row in within)
    if step.cases < _FEW_CASES:
        yield f"Only {step.cases} newcomers could be asked about: these figures are rough."


def _within(row: Newcomer, popularity: Newcomer, measure: str) -> str:
    own, overall = row.measures[measure].mean, popularity.measures[measure].mean
    compared = more_or_less(row.over_popularity[measure])
    return f"Popularity {row.name} reaches {own:.3f}, {compared} overall popularity ({overall:.3f})."


def _popularities(rows: Sequence[Newcomer]) -> list[Newcomer]:
    """Overall popularity first, then within each attribute."""
    return [row for row in rows if row.name == POPULARITY] + [
        row for row in rows if row.name.startswith(WITHIN)
    ]


def _named(row: Newcomer) -> str:
    return POPULARITY if row.name == POPULARITY else f"{POPULARITY} {row.name}"


def _described_items(items: NewItems, name: str) -> Iterator[str]:
    if not items.described:
        yield (
            f"None of the {items.items:,} items that are new to the model is described, so they share one "
            "vector and nothing tells them apart."
        )
        return
    yield (
        f"Items known by their description alone: {name} {about(items.among_new[name])} among the "
        f"{items.items:,} new ones (a blind guess {items.chance:.3f}), "
        f"{about(items.among_all[name])} among all; {items.cases:,} {plural('case', items.cases)}."
    )


_ASK_FOR_POPULAR = (
    "Until their first event serve them by popularity: where `KindredClient.recommend` answers with the "
    "source `cold_start`, ask `KindredClient.popular` instead (docs/queries.md). Users whom nobody knows get "
    "that answer anyway."
)
