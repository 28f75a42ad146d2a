from __future__ import annotations

from kindred.training.intervals import Interval
from kindred.training.reports import findings
from kindred.training.reports.cold_start import ColdStart, Newcomer, NewItems, Step
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


def newcomers(gain: Interval, profile: Interval, cases: int = 500) -> ColdStart:
    measures = {"HR@10": at(0.3), "NDCG@10": at(0.2)}
    rows = [
        Newcomer("this model", measures, {}),
        Newcomer("without the profile", measures, {"NDCG@10": profile}),
        Newcomer("popularity", measures, {"NDCG@10": gain}),
        Newcomer("within age_group", {"NDCG@10": at(0.1)}, {"NDCG@10": gain}),
    ]
    return ColdStart(cases, [Step(0, cases, rows), Step(1, cases, rows)], None)


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


def test_newcomers_that_popularity_serves_better_are_given_the_documented_answer() -> None:
    found = findings.of_cold_start(newcomers(BEHIND, LEVEL), 10)
    assert "popularity serves newcomers better" in found[0]
    assert "payload `popularity`" in found[0]


def test_demographics_that_do_not_help_are_said_not_to() -> None:
    found = findings.of_cold_start(newcomers(AHEAD, LEVEL), 10)
    assert "served better than by popularity" in found[0]
    assert "the profile cannot be shown to help" in found[1]
    assert "Popularity within age_group reaches 0.100, no more than" in found[2]
    assert found[3].startswith("From 1 event on the model is ahead of popularity")


def test_few_newcomers_are_called_few() -> None:
    assert any(
        "Only 40 newcomers" in each for each in findings.of_cold_start(newcomers(AHEAD, LEVEL, 40), 10)
    )


def test_items_without_a_description_cannot_be_told_apart() -> None:
    items = NewItems(90, 0, 50, {"HR@10": at(0)}, {"HR@10": at(0)}, 0.1)
    assert "nothing tells them apart" in findings.of_cold_start(ColdStart(0, [], items), 10)[0]


def test_nobody_new_is_said_with_what_to_do() -> None:
    assert "--hold-out-users" in findings.of_cold_start(ColdStart(0, [], None), 10)[0]


def test_similar_users_are_set_against_chance() -> None:
    rows = [Overlap(name, at(mean), at(mean), at(0)) for name, mean in (("v", 0.2), ("J", 0.1), ("r", 0.05))]
    (found,) = findings.of_neighbours(Neighbours(50, 50, rows))
    assert "20.0%" in found
    assert "4.0 times as much as random pairs (5.0%), more than" in found
