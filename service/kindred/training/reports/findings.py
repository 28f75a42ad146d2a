"""What the figures say, in sentences: the same for the terminal and the page. Newcomers have their own.

A difference counts only where its 95 % interval leaves zero out; anything else is no difference shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from kindred.training.intervals import Interval
from kindred.training.reports.comparison import Comparison, Group
from kindred.training.reports.freshness import Freshness
from kindred.training.reports.in_demand import Demand
from kindred.training.reports.neighbours import Neighbours, Overlap
from kindred.training.reports.verdicts import more_or_less, plural, sign, spread, verdict

_MUCH_NEW = 0.2


def of_comparison(comparison: Comparison) -> list[str]:
    """Ahead of whom, by how much, and what none of them can know."""
    k, overall = comparison.k, comparison.overall
    return [
        *_against_best(overall, f"NDCG@{k}"),
        *_against_live(overall, f"NDCG@{k}"),
        *_new_items(comparison.groups, overall, f"HR@{k}"),
        *_taste(comparison),
    ]


def of_freshness(freshness: Freshness, comparison: Comparison) -> list[str]:
    """What stale vectors lose, and when a plain baseline that is fresh overtakes them."""
    name = f"HR@{comparison.k}"
    fresh = freshness.by_events[0].measures[name].mean
    losses = [
        f"the newest {_many(each.events)} {_share(each.loss[name], fresh)}"
        for each in freshness.by_events
        if each.events in (1, 5, 20)
    ]
    clock = [
        f"{each.name} {_share(each.loss[name], fresh)}"
        for each in freshness.by_clock
        if each.name != "every event"
    ]
    return [
        f"Of {name} with every event known ({fresh:.3f}), missing {', '.join(losses)} of it.",
        f"Vectors that are not made anew after every event lose: {', '.join(clock)}.",
        *_overtaken(freshness, comparison, name),
    ]


def of_demand(demand: Demand, k: int) -> list[str]:
    """Whether items' popularity beside the user's vector helps, and how to ask for it."""
    name, best = f"NDCG@{k}", demand.best
    tried = f"Of the weights tried, {best.weight:g} was best on the earlier half of the cases"
    if not best.weight or sign(best.gain[name]) <= 0:
        return [f"{tried}: what is in demand adds nothing that is shown to what a user likes."]
    over_demand = demand.over_demand[name]
    ask = f"recommend(user, popularity_weight={best.weight:g})" if sign(over_demand) >= 0 else "popular()"
    return [
        f"{tried}. On the later half its {name} is {best.measures[name].mean:.3f}: {spread(best.gain[name])} "
        f"over taste alone, {spread(over_demand)} over demand alone. Ask so: {ask}."
    ]


def of_neighbours(neighbours: Neighbours) -> list[str]:
    """How alike similar users stay."""
    vectors, jaccard, chance = neighbours.rows
    return [
        f"Of what they take next, users share {vectors.ten_nearest.mean:.1%} with their ten nearest "
        f"neighbours: {_against_chance(vectors, chance)}, and {more_or_less(neighbours.over_jaccard)} what "
        f"neighbours by items in common share ({jaccard.ten_nearest.mean:.1%})."
    ]


def _against_best(group: Group, measure: str) -> Iterator[str]:
    row = next((row for row in group.rows if row.name == group.best), None)
    if row:
        gain = row.gain[measure]
        yield f"The model is {verdict(gain)} the best baseline, {row.name}: {measure} {spread(gain)}."


def _against_live(group: Group, measure: str) -> Iterator[str]:
    for row in group.rows:
        if row.is_live and sign(row.gain[measure]) < 0:
            yield (
                f"Live popularity, which knows what everybody did until a second before, reaches "
                f"{measure} {row.measures[measure].mean:.3f}: what is in demand right now decides here. "
                "Give the items' payload `popularity` a weight, or describe items so that new ones are known."
            )


def _new_items(groups: Sequence[Group], overall: Group, measure: str) -> Iterator[str]:
    new = next((group for group in groups if group.name == "items new"), None)
    if new and new.cases / overall.cases > _MUCH_NEW:
        yield (
            f"{new.cases / overall.cases:.0%} of what was taken is new to the model; there its "
            f"{measure} is {new.rows[0].measures[measure].mean:.3f}."
        )


def _taste(comparison: Comparison) -> Iterator[str]:
    taste = comparison.overall.rows[0].taste
    if taste:
        yield (
            f"It shows {taste.coverage:.0%} of the catalogue. What it shows had {taste.events:,.0f} earlier "
            f"events an item, what was taken {comparison.targets.events:,.0f}."
        )


def _overtaken(freshness: Freshness, comparison: Comparison, name: str) -> Iterator[str]:
    best = next((row for row in comparison.overall.rows if row.name == comparison.overall.best), None)
    if best is None:
        return
    rival = f"{best.name} on fresh histories ({best.measures[name].mean:.3f})"
    behind = list(takewhile(lambda each: sign(each.gain[name]) < 0, reversed(freshness.by_events)))
    if not behind:
        most = freshness.by_events[-1]
        yield (
            f"Even with {most.events} missed {plural('event', most.events)} {rival} is not shown to be "
            f"better than this model: {name} {spread(most.gain[name])}."
        )
    elif first := behind[-1].events:
        yield (
            f"From {first} missed {plural('event', first)} on, {rival} is better than this model on stale "
            f"ones: {name} {spread(behind[-1].gain[name])}."
        )


def _against_chance(vectors: Overlap, chance: Overlap) -> str:
    own, theirs = vectors.ten_nearest.mean, chance.ten_nearest.mean
    if sign(vectors.gain) > 0 and theirs:
        return f"{own / theirs:.1f} times as much as random pairs ({theirs:.1%})"
    return f"{more_or_less(vectors.gain)} what random pairs share ({theirs:.1%})"


def _share(loss: Interval, whole: float) -> str:
    return f"{loss.mean / whole:.0%}" if whole and sign(loss) > 0 else "nothing that is shown"


def _many(events: int) -> str:
    return "event loses" if events == 1 else f"{events}"
