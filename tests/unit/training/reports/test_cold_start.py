from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import untrained
from kindred.history.window import Histories
from kindred.training.baselines import Popularity, PopularityWithin
from kindred.training.evaluate import Judge, ModelScorer, from_time
from kindred.training.event_log import EventLog
from kindred.training.reports.cold_start import STEPS, WithoutProfile, new_items, newcomers
from kindred.training.reports.comparison import Rival
from kindred.training.reports.measures import Measures
from logs import log_of

ITEMS = 24


@pytest.fixture(scope="module")
def groups() -> EventLog:
    """40 people of two age groups. The old begin with item 00, the young with 12; each goes on from there."""
    steps = [
        (f"u{user:02}", f"i{(12 * (user % 2) + step) % ITEMS:02}", step + user / 100)
        for user in range(40)
        for step in range(12)
    ]
    ages = {f"u{user:02}": {"age_group": ("old", "young")[user % 2]} for user in range(40)}
    return log_of(*steps, profiles=ages)


def model_of(log: EventLog, declaration: Declaration) -> PopularityWithin:
    """Stands for a model that reads the profile and nothing else."""
    return PopularityWithin(log, declaration, "age_group")


def first_20(log: EventLog) -> EventLog:
    return log.where(log.users < 20)


def test_before_the_first_event_the_profile_decides(groups: EventLog, film_shop: Declaration) -> None:
    learned, met = first_20(groups).where(first_20(groups).times_us < 50_000_000_000), np.arange(40) < 20
    model = model_of(learned, film_shop)
    rivals = [
        Rival("this model", model),
        Rival("without the profile", WithoutProfile(model)),
        Rival("popularity", Popularity(learned, film_shop)),
        Rival("within age_group", model),
    ]
    first = newcomers(Judge(groups, film_shop), ~met, rivals, Measures((1,)))[0]
    own, blind, popularity, within = first.rows
    assert (first.events, first.cases) == (0, 20)
    assert own.measures["HR@1"].mean == 1  # each group's own first item
    assert blind.measures["HR@1"].mean == 0  # both first items are level, and a tie is a loss
    assert blind.gain["HR@1"].mean == popularity.gain["HR@1"].mean == 1
    assert within.gain["HR@1"].mean == 0
    assert within.over_popularity["HR@1"].mean == 1
    assert not own.gain
    assert not popularity.over_popularity


def test_without_the_profile_the_users_id_is_not_read_either(film_shop: Declaration) -> None:
    log = log_of(("u", "a", 1), ("v", "b", 1))
    declared = msgspec.structs.replace(film_shop, user_id_buckets=1_000)
    untaught = untrained(declared, items={"a": {}, "b": {}})
    with torch.no_grad():  # as training leaves it
        untaught.towers.user.profile.tokens.normal_(generator=torch.Generator().manual_seed(0))
    model = ModelScorer(Embedder(untaught, "m"), log)
    nothing_known = log.histories(log.offsets[:-1])
    of_u, of_v = model.scores(nothing_known)
    assert (of_u != of_v).any()  # by the hashed id alone
    of_u, of_v = WithoutProfile(model).scores(nothing_known)
    assert (of_u == of_v).all()


def test_each_step_asks_about_the_event_after_exactly_so_many(
    groups: EventLog, film_shop: Declaration
) -> None:
    read: list[int] = []

    class Listening(Popularity):
        def scores(self, histories: Histories) -> NDArray[np.float32]:
            read.extend(np.diff(histories.offsets).tolist())
            return super().scores(histories)

    met = np.arange(40) < 20
    rivals = [Rival("this model", Listening(first_20(groups), film_shop))]
    steps = newcomers(Judge(groups, film_shop), ~met, rivals, Measures((1,)))
    assert [(step.events, step.cases) for step in steps] == [(n, 20) for n in STEPS if n < 12]
    assert read == [n for n in STEPS if n < 12 for _ in range(20)]


def test_a_user_whose_beginning_is_not_in_the_log_is_no_newcomer(
    groups: EventLog, film_shop: Declaration
) -> None:
    cut = groups.where(np.arange(len(groups)) != groups.offsets[39])  # the last user's first event is gone
    rivals = [Rival("this model", Popularity(cut, film_shop))]
    steps = newcomers(Judge(cut, film_shop), np.arange(40) >= 38, rivals, Measures((1,)))
    assert [step.cases for step in steps] == [1] * len(steps)


def test_new_items_are_ranked_among_all_and_among_themselves(
    groups: EventLog, film_shop: Declaration
) -> None:
    new = np.array([item_id in ("i05", "i06") for item_id in groups.item_ids])
    cases = from_time(groups, film_shop, 0)

    class Last:
        """New items come last, i05 before i06."""

        def scores(self, histories: Histories) -> NDArray[np.float32]:
            scores = np.ones(len(new), np.float32)
            scores[np.flatnonzero(new)] = [-1, -2]
            return np.tile(scores, (len(histories), 1))

    found = new_items(Judge(groups, film_shop), new, cases, Last(), Measures((1,)))
    assert found is not None
    assert (found.items, found.described, found.cases) == (2, 0, 40)
    assert found.among_all["HR@1"].mean == 0
    assert found.among_new["HR@1"].mean == 1.0  # i05 is ahead of i06, and i06 is asked for when i05 is seen
    assert found.chance == 0.5


def test_without_new_items_there_is_nothing_to_say(groups: EventLog, film_shop: Declaration) -> None:
    nothing = np.zeros(len(groups.item_ids), bool)
    model = Popularity(groups, film_shop)
    assert new_items(Judge(groups, film_shop), nothing, np.array([1, 2]), model, Measures()) is None
