from __future__ import annotations

from kindred.training.intervals import Interval
from kindred.training.reports import findings
from kindred.training.reports.comparison import Comparison, Group, Row, Taste
from kindred.training.reports.freshness import Freshness, Missing, Schedule
from kindred.training.reports.neighbours import Neighbours, Overlap

AHEAD, LEVEL, BEHIND = Interval(0.1, 0.05, 0.15), Interval(0.01, -0.02, 0.04), Interval(-0.1, -0.15, -0.05)


def at(mean: float) -> Interval:
    return Interval(mean, mean - 0.01, mean + 0.01)


def row(name: str, mean: float, gain: Interval | None = None, *, is_live: bool = False) -> Row:
    measures = {"HR@10": at(mean), "NDCG@10": at(mean)}
    return Row(name, "", is_live, measures, {"HR@10": gain, "NDCG@10": gain} if gain else {})


def comparison(*rows: Row, groups: tuple[Group, ...] = ()) -> Comparison:
    return Comparison(
        10,
        Taste(1, Interval(0.5, 0.4, 0.6), 0.5),
        Group("first-time pairs", 100, 10, rows, "item-kNN"),
        groups,
    )


def test_a_difference_counts_only_where_its_interval_leaves_zero_out() -> None:
    for gain, word in ((AHEAD, "ahead of"), (LEVEL, "not shown to differ from"), (BEHIND, "behind")):
        first = findings.of_comparison(comparison(row("this model", 0.2), row("item-kNN", 0.1, gain)))[0]
        assert f"{word} the best baseline, item-kNN" in first


def test_it_is_said_when_demand_of_the_moment_beats_every_vector() -> None:
    live = row("live popularity", 0.4, BEHIND, is_live=True)
    found = findings.of_comparison(comparison(row("this model", 0.2), row("item-kNN", 0.1, AHEAD), live))
    assert any("reaches NDCG@10 0.400" in sentence for sentence in found)


def test_new_items_are_spoken_of_where_they_are_many() -> None:
    new = Group("items new", 40, 5, [row("this model", 0.0)], None)
    found = findings.of_comparison(comparison(row("this model", 0.2), groups=(new,)))
    assert any(sentence.startswith("40% of what was taken is new") for sentence in found)


def freshness(*steps: tuple[int, float, Interval]) -> Freshness:
    """Each step: events missed, the hit rate, and the gain over the baseline; the first is fresh."""
    missing = [
        Missing(n, 1.0, {"HR@10": at(mean)}, {"HR@10": at(steps[0][1] - mean)}, {"HR@10": gain})
        for n, mean, gain in steps
    ]
    clock = [
        Schedule("nightly", 1, {"HR@10": at(0.1)}, {"HR@10": at(0.3)}),
        Schedule("hourly", 1, {"HR@10": at(0.395)}, {"HR@10": LEVEL}),
        Schedule("every event", 1, {"HR@10": at(0.4)}, {"HR@10": at(0)}),
    ]
    return Freshness(100, 10, missing, clock)


def said_of(found: Freshness) -> list[str]:
    against = comparison(row("this model", 0.4), row("item-kNN", 0.25, AHEAD))
    return findings.of_freshness(found, against)


def test_losses_by_staleness_are_shares_of_the_fresh_quality() -> None:
    found = said_of(freshness((0, 0.4, AHEAD), (1, 0.3, AHEAD), (5, 0.2, BEHIND), (20, 0.1, BEHIND)))
    assert "the newest event loses 25%, the newest 5 50%, the newest 20 75%" in found[0]
    assert "nightly 75%, hourly nothing that is shown" in found[1]
    assert found[2].startswith("From 5 missed events on, item-kNN on fresh histories (0.250) is better")


def test_stale_vectors_are_overtaken_only_where_an_interval_shows_it() -> None:
    found = said_of(freshness((0, 0.4, AHEAD), (1, 0.24, LEVEL), (5, 0.2, BEHIND), (20, 0.1, BEHIND)))
    assert found[2].startswith("From 5 missed events on")  # after 1 the mean alone is below 0.250
    found = said_of(freshness((0, 0.4, AHEAD), (1, 0.24, BEHIND), (5, 0.24, LEVEL)))
    assert found[2].startswith("Even with 5 missed events item-kNN on fresh histories (0.250) is not shown")


def similar(gain: Interval, over_jaccard: Interval) -> str:
    means = (("vectors", 0.2), ("Jaccard", 0.1), ("random pairs", 0.05))
    rows = [Overlap(name, at(mean), at(mean), gain) for name, mean in means]
    (found,) = findings.of_neighbours(Neighbours(50, 50, rows, over_jaccard))
    return found


def test_similar_users_are_set_against_chance() -> None:
    found = similar(AHEAD, AHEAD)
    assert "20.0%" in found
    assert "4.0 times as much as random pairs (5.0%), and more than what neighbours by items" in found
    assert "less than what neighbours by items in common share (10.0%)" in similar(AHEAD, BEHIND)


def test_similar_users_differ_only_where_an_interval_shows_it() -> None:
    found = similar(LEVEL, LEVEL)
    assert "not shown to differ from what random pairs share (5.0%)" in found
    assert "not shown to differ from what neighbours by items in common share" in found
    assert "times as much" not in found
