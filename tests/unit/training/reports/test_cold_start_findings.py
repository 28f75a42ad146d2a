from __future__ import annotations

from pathlib import Path

from kindred.client import KindredClient
from kindred.training.intervals import Interval
from kindred.training.reports.cold_start import ColdStart, Newcomer, NewItems, Step
from kindred.training.reports.cold_start_findings import of_cold_start
from kindred.training.reports.verdicts import spread

AHEAD, LEVEL, BEHIND = Interval(0.1, 0.05, 0.15), Interval(0.01, -0.02, 0.04), Interval(-0.1, -0.15, -0.05)


def at(mean: float) -> Interval:
    return Interval(mean, mean - 0.01, mean + 0.01)


def step(
    events: int,
    *,
    popularity: Interval = LEVEL,
    within: Interval = LEVEL,
    profile: Interval = LEVEL,
    over_popularity: Interval = LEVEL,
    cases: int = 500,
) -> Step:
    """Gains of the model over each; `over_popularity`: of popularity within the age group over all."""
    reached = {"NDCG@10": at(0.2)}
    rows = [
        Newcomer("this model", reached, {}),
        Newcomer("without the profile", reached, {"NDCG@10": profile}),
        Newcomer("popularity", reached, {"NDCG@10": popularity}),
        Newcomer("within age_group", reached, {"NDCG@10": within}, {"NDCG@10": over_popularity}),
    ]
    return Step(events, cases, rows)


def said(*steps: Step, items: NewItems | None = None, users: int = 500) -> list[str]:
    return of_cold_start(ColdStart(users, steps, items), 10)


def test_numbers_of_events_with_the_same_verdicts_share_a_sentence() -> None:
    assert said(
        step(1, popularity=BEHIND, within=BEHIND),
        step(2, popularity=LEVEL, within=BEHIND),
        step(5, popularity=LEVEL, within=BEHIND),
        step(10, popularity=LEVEL, within=BEHIND),
        step(20, popularity=AHEAD, within=LEVEL),
    ) == [
        "For newcomers after 1 event the model is, by NDCG@10, behind popularity, popularity within "
        "age_group.",
        "For newcomers after 2, 5 and 10 events the model is, by NDCG@10, not shown to differ from "
        "popularity; behind popularity within age_group.",
        "For newcomers after 20 events the model is, by NDCG@10, ahead of popularity; not shown to differ "
        "from popularity within age_group.",
    ]


def test_before_the_first_event_each_verdict_has_its_interval() -> None:
    first, second = said(step(0, popularity=AHEAD, within=LEVEL))[:2]
    assert first.startswith("For newcomers before their first event the model is, by NDCG@10, ahead of pop")
    assert second == (
        f"There its NDCG@10 differs by {spread(AHEAD)} from popularity, {spread(LEVEL)} from popularity "
        "within age_group."
    )


def test_newcomers_that_popularity_serves_better_are_given_the_documented_answer() -> None:
    found = said(step(0, popularity=BEHIND), step(1))[2]  # next to the verdict
    assert "ask `KindredClient.popular` instead" in found
    assert "`cold_start`" in found
    queries = (Path(__file__).parents[4] / "docs" / "queries.md").read_text()
    assert "| `cold_start` |" in queries
    assert callable(KindredClient.popular)


def test_nothing_is_advised_where_the_model_is_not_behind_at_the_first_event() -> None:
    for gain in (LEVEL, AHEAD):
        assert "KindredClient" not in " ".join(said(step(0, popularity=gain), step(1, popularity=BEHIND)))


def test_popularity_within_a_group_is_said_to_be_nobodys_answer() -> None:
    found = " ".join(said(step(0, popularity=AHEAD, within=BEHIND)))
    assert "No call answers by popularity within age_group" in found
    assert "ask `KindredClient.popular`" not in found


def test_a_profile_that_does_not_help_is_said_not_to() -> None:
    assert any("the profile cannot be shown to help" in each for each in said(step(0)))
    assert any("the profile harms" in each for each in said(step(0, profile=BEHIND)))


def test_popularity_within_a_group_differs_only_where_an_interval_shows_it() -> None:
    for gain, words in ((AHEAD, "more than"), (LEVEL, "not shown to differ from"), (BEHIND, "less than")):
        sentence = f"Popularity within age_group reaches 0.200, {words} overall popularity (0.200)."
        assert sentence in said(step(0, over_popularity=gain))


def test_few_newcomers_are_called_few() -> None:
    assert any("Only 40 newcomers" in each for each in said(step(0, cases=40)))
    assert not any("Only" in each for each in said(step(0)))


def test_items_without_a_description_cannot_be_told_apart() -> None:
    items = NewItems(90, 0, 50, {"HR@10": at(0)}, {"HR@10": at(0)}, 0.1)
    assert any("nothing tells them apart" in each for each in said(items=items, users=0))


def test_nobody_new_is_said_with_what_to_do_and_only_then() -> None:
    (nobody,) = said(users=0)
    assert nobody.startswith("Nobody in this log is new to the model: train with --hold-out-users")
    (unasked,) = said(users=7)
    assert unasked.startswith("None of the 7 users new to the model took anything")
    later = said(step(1, popularity=BEHIND, within=BEHIND))
    assert "--hold-out-users" not in " ".join(later)
    assert later[0].startswith("For newcomers after 1 event the model is, by NDCG@10, behind popularity")
