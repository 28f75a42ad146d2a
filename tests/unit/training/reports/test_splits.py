from __future__ import annotations

import numpy as np
import pytest

from kindred.declaration import Declaration, as_dict
from kindred.embedding.manifest import FORMAT, HeldOut, Manifest
from kindred.embedding.options import TowerOptions
from kindred.errors import Misconfigured
from kindred.training.evaluate import from_time, leave_one_out
from kindred.training.event_log import EventLog
from kindred.training.holdout import held_out_items, held_out_users, remaining
from kindred.training.reports.splits import evenly, refuse_another_catalogue, split


def trained(log: EventLog, declaration: Declaration, held_out: HeldOut) -> Manifest:
    """What training writes when so much of the log is held out."""
    return Manifest(
        format=FORMAT, name="m", created_at="2026-01-01T00:00:00+00:00", dimension=64, max_length=50,
        towers=TowerOptions(), declaration=as_dict(declaration),
        trained_on=remaining(log, declaration, held_out).training_range(),
        metrics={}, files={}, held_out=held_out,
    )  # fmt: skip


def test_a_temporal_split_asks_about_everything_after_training(
    shop: EventLog, film_shop: Declaration
) -> None:
    manifest = trained(shop, film_shop, HeldOut(newest_share=0.2))
    found = split(shop, film_shop, manifest)
    assert found.kind == "temporal"
    assert found.held_out == len(found.cases) == len(from_time(shop, film_shop, shop.time_at(0.8)))
    assert found.learned.training_range() == manifest.trained_on
    assert not found.notes


def test_at_may_only_leave_out_more_than_training_did(shop: EventLog, film_shop: Declaration) -> None:
    manifest = trained(shop, film_shop, HeldOut(newest_share=0.2))
    later = split(shop, film_shop, manifest, at=0.9)
    assert shop.times_us[later.cases].min() >= shop.time_at(0.9)
    assert later.learned.training_range() == manifest.trained_on  # baselines get no more than the model
    with pytest.raises(Misconfigured, match=r"(?s)of them later than --at 0\.7.*--holdout 0\.3"):
        split(shop, film_shop, manifest, at=0.7)


def test_a_model_that_learned_from_everything_is_not_judged(shop: EventLog, film_shop: Declaration) -> None:
    manifest = trained(shop, film_shop, HeldOut())
    with pytest.raises(Misconfigured, match="--holdout"):
        split(shop, film_shop, manifest)
    with pytest.raises(Misconfigured, match="--hold-out-last"):
        split(shop, film_shop, manifest, kind="leave-one-out")


def test_leave_one_out_is_what_a_model_trained_so_is_asked(shop: EventLog, film_shop: Declaration) -> None:
    manifest = trained(shop, film_shop, HeldOut(last_targets=True))
    found = split(shop, film_shop, manifest)
    assert found.kind == "leave-one-out"
    assert found.starts_at_us is None
    assert found.cases.tolist() == leave_one_out(shop, film_shop).tolist()
    assert found.learned.training_range() == manifest.trained_on


def test_users_whose_newest_target_was_trained_on_are_left_out(
    shop: EventLog, film_shop: Declaration
) -> None:
    manifest = trained(shop, film_shop, HeldOut(newest_share=0.2))
    found = split(shop, film_shop, manifest, kind="leave-one-out")
    assert shop.times_us[found.cases].min() > (manifest.trained_on.last_us or 0)
    assert 0 < len(found.cases) < len(leave_one_out(shop, film_shop))
    assert any("left out" in note for note in found.notes)


def test_baselines_learn_from_no_held_out_user_or_item(shop: EventLog, film_shop: Declaration) -> None:
    held_out = HeldOut(newest_share=0.2, users_share=0.2, items_share=0.1)
    learned = split(shop, film_shop, trained(shop, film_shop, held_out)).learned
    assert not np.diff(learned.offsets)[held_out_users(shop, held_out)].any()
    assert not held_out_items(shop, held_out)[learned.items].any()


def test_a_log_that_is_not_the_one_of_training_is_noted(shop: EventLog, film_shop: Declaration) -> None:
    manifest = trained(shop, film_shop, HeldOut(newest_share=0.2))
    fewer = shop.where(np.arange(len(shop)) % 7 > 0)
    assert any("not the same log" in note for note in split(fewer, film_shop, manifest).notes)


def test_cases_are_thinned_evenly_in_time(shop: EventLog, film_shop: Declaration) -> None:
    cases = from_time(shop, film_shop, 0)
    few = evenly(shop, cases, 100)
    assert len(few) == 100
    assert (np.diff(few) > 0).all()
    thirds = np.quantile(shop.times_us[cases], [1 / 3, 2 / 3])
    counts = np.bincount(np.searchsorted(thirds, shop.times_us[few]))
    assert counts.min() > 30


def test_at_goes_with_time_only(shop: EventLog, film_shop: Declaration) -> None:
    manifest = trained(shop, film_shop, HeldOut(last_targets=True))
    with pytest.raises(Misconfigured, match="--at"):
        split(shop, film_shop, manifest, at=0.9)


def test_another_catalogue_is_refused(shop: EventLog) -> None:
    refuse_another_catalogue(shop, [shop.item_ids[0], "unheard of"])
    with pytest.raises(Misconfigured, match="another catalogue"):
        refuse_another_catalogue(shop, ["unheard of"])
