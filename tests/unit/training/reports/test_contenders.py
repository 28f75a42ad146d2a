from __future__ import annotations

from weakref import WeakSet

import numpy as np
import pytest

from kindred.declaration import Declaration
from kindred.errors import Misconfigured
from kindred.training import factorisation
from kindred.training.baselines import Popularity, Reading
from kindred.training.evaluate import Judge, discounted, from_time
from kindred.training.event_log import EventLog
from kindred.training.reports.contenders import Family, default, families, missing, tuned


def test_all_installed_kinds_compete_unless_named(shop: EventLog, film_shop: Declaration) -> None:
    names = [family.name for family in families(shop, film_shop, 14.0)]
    assert names[:4] == ["popularity", "recent popularity", "live popularity", "item-kNN"]
    assert [family.name for family in families(shop, film_shop, 14.0, ["knn"])] == ["item-kNN"]


def test_an_unknown_kind_is_refused_with_the_known_ones(shop: EventLog, film_shop: Declaration) -> None:
    with pytest.raises(Misconfigured, match="popularity, recent, live, knn, als, bpr"):
        families(shop, film_shop, 14.0, ["svd"])


def test_a_missing_library_is_said_and_refused_where_it_is_asked_for(
    shop: EventLog, film_shop: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factorisation, "find_spec", lambda name: None)
    assert "iALS" not in [family.name for family in families(shop, film_shop, 14.0)]
    assert ["pip install implicit" in note for note in missing(None)] == [True]
    assert not missing(["knn"])
    with pytest.raises(Misconfigured, match="pip install implicit"):
        families(shop, film_shop, 14.0, ["als"])


def test_a_kind_comes_with_the_deployments_own_half_life(shop: EventLog, film_shop: Declaration) -> None:
    (recent,) = families(shop, film_shop, 5.0, ["recent"])
    assert default(recent, shop).settings == "half-life 5 d"
    assert len(recent.fits) > 3


def test_every_kind_of_live_popularity_counts_the_same_events(shop: EventLog, film_shop: Declaration) -> None:
    (live,) = families(shop, film_shop, 14.0, ["live"])
    first, second = (build(shop) for build in list(live.fits.values())[:2])
    assert first._everything is second._everything


def test_tuning_picks_the_fit_that_ranks_the_validation_cases_best(
    shop: EventLog, film_shop: Declaration
) -> None:
    boundary_us = shop.time_at(0.8)
    known, cases = shop.before(boundary_us), from_time(shop, film_shop, boundary_us)
    judge = Judge(shop, film_shop)
    (family,) = families(shop, film_shop, 14.0, ["recent"])
    quality = {
        settings: discounted(judge.rank(cases, build(known)).ranks, 10).mean()
        for settings, build in family.fits.items()
    }
    chosen = tuned(family, shop, known, cases, judge)
    assert chosen.settings == max(quality, key=lambda each: quality[each])


def test_fits_are_judged_one_by_one_so_that_few_are_in_memory(shop: EventLog, film_shop: Declaration) -> None:
    alive: WeakSet[Popularity] = WeakSet()
    at_once: list[int] = []

    def build(log: EventLog) -> Popularity:
        alive.add(fitted := Popularity(log, film_shop))
        at_once.append(len(alive))
        return fitted

    family = Family("popularity", {str(number): build for number in range(5)})
    tuned(family, shop, shop, from_time(shop, film_shop, shop.time_at(0.95)), Judge(shop, film_shop))
    assert len(at_once) == 6
    assert max(at_once) <= 2  # the best so far, and the next


def test_the_chosen_settings_are_fitted_on_all_that_was_learned(
    shop: EventLog, film_shop: Declaration
) -> None:
    known = shop.before(shop.time_at(0.5))
    (family,) = families(shop, film_shop, 14.0, ["popularity"])
    found = tuned(family, shop, known, np.zeros(0, np.int64), Judge(shop, film_shop))
    assert isinstance(found.scorer, Popularity)
    assert found.scorer.counts.sum() == Popularity(shop, film_shop).counts.sum()


def test_a_reading_is_chosen_too_and_said_in_words(shop: EventLog, film_shop: Declaration) -> None:
    boundary_us = shop.time_at(0.8)
    (family,) = families(shop, film_shop, 14.0, ["knn"])
    cases = from_time(shop, film_shop, boundary_us)
    found = tuned(family, shop, shop.before(boundary_us), cases, Judge(shop, film_shop))
    reading = found.scorer.reading  # type: ignore[union-attr]
    assert isinstance(reading, Reading)
    assert found.settings == f"newest 10, each older one {reading.decay:g} times"
