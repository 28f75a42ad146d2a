from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from kindred.embedding import embedder as embedder_module
from kindred.embedding.embedder import Embedder
from kindred.embedding.model import Model
from kindred.history.window import Histories, Item

MakeHistories = Callable[[Sequence[int]], Histories]
LENGTHS = [0, 1, 2, 49, 50, 51, 100, 7, 7, 0]


def one(histories: Histories, user: int, newest: int = 1000) -> Histories:
    """The history of one user alone, shortened to its newest interactions."""
    end = histories.offsets[user + 1]
    part = slice(max(histories.offsets[user], end - newest), end)
    return replace(
        histories,
        user_ids=[histories.user_ids[user]],
        profiles=[histories.profiles[user]],
        offsets=np.array([0, part.stop - part.start]),
        items=histories.items[part],
        types=histories.types[part],
        times_us=histories.times_us[part],
        history_lengths=[0],
    )


def test_vectors_are_finite_of_unit_length_and_in_order(
    embedder: Embedder, make_histories: MakeHistories
) -> None:
    vectors = embedder.embed(make_histories(LENGTHS))
    assert vectors.shape == (len(LENGTHS), embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("forward_users", [1, 3, 128])
def test_neighbours_in_a_batch_change_nothing(
    embedder: Embedder,
    make_histories: MakeHistories,
    forward_users: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedder_module, "_FORWARD_USERS", forward_users)
    histories = make_histories(LENGTHS)
    together = embedder.embed(histories)
    alone = np.concatenate([embedder.embed(one(histories, user)) for user in range(len(LENGTHS))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_only_the_newest_interactions_are_read(embedder: Embedder, make_histories: MakeHistories) -> None:
    histories = make_histories([100])
    newest = one(histories, 0, newest=embedder.max_length)
    np.testing.assert_allclose(embedder.embed(histories), embedder.embed(newest), atol=1e-6)


def test_without_a_history_the_profile_decides(embedder: Embedder, make_histories: MakeHistories) -> None:
    nobody, adult, nobody_else = embedder.embed(make_histories([0, 0, 0]))
    np.testing.assert_allclose(nobody, nobody_else, atol=1e-6)
    assert np.abs(nobody - adult).max() > 1e-3


def test_no_users_make_no_vectors(embedder: Embedder, make_histories: MakeHistories) -> None:
    assert embedder.embed(make_histories([])).shape == (0, embedder.dimension)


def test_a_new_description_changes_the_users_who_hold_the_item(
    embedder: Embedder, make_histories: MakeHistories, catalogue: list[Item]
) -> None:
    histories = make_histories([5])
    before = embedder.embed(histories)
    held = catalogue[int(histories.items[0])]
    embedder.update_items([replace(held, attributes={"genres": ["g3"]})])
    assert np.abs(embedder.embed(histories) - before).max() > 1e-4


def test_of_several_versions_of_an_item_the_last_counts(
    embedder: Embedder, make_histories: MakeHistories, catalogue: list[Item]
) -> None:
    histories = make_histories([5])
    before = embedder.embed(histories)
    embedder.update_items([version for item in catalogue for version in (replace(item, removed=True), item)])
    np.testing.assert_array_equal(embedder.embed(histories), before)


def test_a_removed_item_is_read_as_one_never_given(
    embedder: Embedder, model: Model, make_histories: MakeHistories, catalogue: list[Item]
) -> None:
    histories = make_histories([4])
    embedder.update_items([replace(item, removed=True) for item in catalogue])
    np.testing.assert_allclose(
        embedder.embed(histories), Embedder(model, "knows no item").embed(histories), atol=1e-6
    )


def test_an_undescribed_item_still_has_its_identity(embedder: Embedder, catalogue: list[Item]) -> None:
    known = replace(catalogue[0], attributes=None)
    unknown = replace(known, item_id="never seen")
    known_vector, unknown_vector = embedder.embed_items([known, unknown])
    assert np.abs(known_vector - unknown_vector).max() > 1e-3


def test_item_numbers_may_grow_without_bound_or_order(
    model: Model, make_histories: MakeHistories, catalogue: list[Item], embedder: Embedder
) -> None:
    late = Embedder(model, "late")
    late.update_items([replace(catalogue[1], number=5_000)])
    late.update_items(catalogue[::-1])
    np.testing.assert_allclose(
        late.embed(make_histories(LENGTHS)), embedder.embed(make_histories(LENGTHS)), atol=1e-6
    )


def test_bfloat16_stays_close(model: Model, catalogue: list[Item], make_histories: MakeHistories) -> None:
    histories = make_histories(LENGTHS)
    exact, rough = Embedder(model, "exact"), Embedder(model, "rough", dtype="bfloat16")
    for each in (exact, rough):
        each.update_items(catalogue)
    cosine = (exact.embed(histories) * rough.embed(histories)).sum(axis=1)
    assert cosine.min() > 0.999
