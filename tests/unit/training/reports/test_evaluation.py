from __future__ import annotations

import pytest

from kindred.declaration import Declaration, as_dict
from kindred.embedding.manifest import FORMAT, HeldOut, Manifest
from kindred.embedding.model import Model, untrained
from kindred.embedding.options import TowerOptions
from kindred.training.event_log import EventLog
from kindred.training.holdout import remaining
from kindred.training.reports.evaluation import COLD_START, NEIGHBOURS, EvaluationOptions, evaluate
from kindred.training.reports.report import Report


@pytest.fixture(scope="module")
def model(shop: EventLog, film_shop: Declaration) -> Model:
    """Knows all items but the first two, as if only validation had met these."""
    return untrained(film_shop, items={item_id: {} for item_id in shop.item_ids[2:]})


def report(model: Model, log: EventLog, held_out: HeldOut, *parts: str) -> Report:
    manifest = Manifest(
        format=FORMAT, name="m", created_at="2026-01-01T00:00:00+00:00", dimension=64, max_length=50,
        towers=TowerOptions(), declaration=as_dict(model.declaration),
        trained_on=remaining(log, model.declaration, held_out).training_range(),
        metrics={}, files={}, held_out=held_out,
    )  # fmt: skip
    options = EvaluationOptions(most_cases=200, baselines=("popularity",), tune=False, parts=frozenset(parts))
    return evaluate(model, manifest, log, options)


def test_items_are_new_whose_ids_the_model_does_not_know(model: Model, shop: EventLog) -> None:
    found = report(model, shop, HeldOut(newest_share=0.3), COLD_START)
    assert found.cold_start is not None
    assert found.cold_start.items is not None
    assert found.cold_start.items.items == 2
    (new,) = (group for group in found.comparison.groups if group.name == "items new")
    assert new.cases == found.cold_start.items.cases


def test_why_similar_users_are_missing_is_noted_where_they_were_asked_for(
    model: Model, shop: EventLog
) -> None:
    few = shop.where(shop.users < 15)
    for log, held_out, reason in (
        (few, HeldOut(newest_share=0.3), "fewer than 20"),
        (shop, HeldOut(last_targets=True), "leave-one-out has no moment"),
    ):
        asked, unasked = report(model, log, held_out, NEIGHBOURS), report(model, log, held_out)
        assert asked.neighbours is unasked.neighbours is None
        assert any(reason in note for note in asked.notes)
        assert not any(reason in note for note in unasked.notes)
