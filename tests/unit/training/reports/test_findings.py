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
    return Comparison(10, Taste(1, 0.5, 0.5), Group("first-time pairs", 100, 10, rows, "item-kNN"), groups)


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


def test_losses_by_staleness_are_shares_of_the_fresh_quality() -> None:
    missing = [Missing(n, 1.0, {"HR@10": at(mean)}) for n, mean in ((0, 0.4), (1, 0.3), (5, 0.2), (20, 0.1))]
    clock = [
        Schedule(name, 1, {"HR@10": at(mean)}, {}) for name, mean in (("nightly", 0.1), ("every event", 0.4))
    ]
    found = findings.of_freshness(
        Freshness(100, 10, missing, clock), comparison(row("this model", 0.4), row("item-kNN", 0.25, AHEAD))
    )
    assert "the newest event loses 25%, the newest 5 50%, the newest 20 75%" in found[0]
    assert "nightly 75%" in found[1]
    assert found[2].startswith("From 5 missed events on, item-kNN on fresh histories (0.250) is better")


def test_similar_users_are_set_against_chance() -> None:
    rows = [Overlap(name, at(mean), at(mean), at(0)) for name, mean in (("v", 0.2), ("J", 0.1), ("r", 0.05))]
    (found,) = findings.of_neighbours(Neighbours(50, 50, rows))
    assert "20.0%" in found
    assert "4.0 times as much as random pairs (5.0%), more than" in found
