"""The embedded server's fast upsert does what local mode's own does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http import models
from qdrant_client.local.local_collection import LocalCollection

from kindred.local.qdrant_collection import Collection, DensePoint

CONFIG = models.CreateCollection(vectors=models.VectorParams(size=2, distance=models.Distance.COSINE))

points = st.builds(
    lambda number, revision: DensePoint(number, [1.0, float(revision)], {"revision": revision}),
    st.integers(0, 5),
    st.integers(0, 9),
)
requests = st.tuples(
    st.lists(points, max_size=5, unique_by=lambda point: point.id),
    st.none() | st.integers(0, 9),
    st.sampled_from([None, *models.UpdateMode]),
)


def fence(revision: int | None) -> models.Filter | None:
    if revision is None:
        return None
    return models.Filter(must=[models.FieldCondition(key="revision", range=models.Range(lt=revision))])


def contents(collection: LocalCollection) -> dict[Any, Any]:
    found, _ = collection.scroll(limit=100, with_vectors=True)
    return {point.id: (point.payload, point.vector) for point in found}


@given(st.lists(requests, max_size=5))
def test_any_requests_leave_what_local_mode_would_leave(written: list[Any]) -> None:
    fast, slow = Collection(CONFIG), LocalCollection(CONFIG)
    for batch, revision, mode in written:
        fast.upsert_dense(batch, fence(revision), mode)
        structs = [models.PointStruct(id=p.id, vector=p.vector, payload=p.payload) for p in batch]
        slow.upsert(structs, fence(revision), mode)
    assert contents(fast).keys() == contents(slow).keys()
    for point_id, (payload, vector) in contents(slow).items():
        assert contents(fast)[point_id] == (payload, pytest.approx(vector))


def test_the_last_of_equal_ids_wins_as_on_the_server() -> None:
    collection = Collection(CONFIG)
    collection.upsert_dense([DensePoint(1, [1, 0], {"n": 1}), DensePoint(1, [0, 1], {"n": 2})], fence(5))
    assert contents(collection) == {1: ({"n": 2}, [0, 1])}


def test_a_deleted_point_comes_back_whatever_the_fence() -> None:
    collection = Collection(CONFIG)
    collection.upsert_dense([DensePoint(1, [1, 0], {"revision": 9})])
    collection.delete([1])
    collection.upsert_dense([DensePoint(1, [0, 1], {"revision": 2})], fence(2))
    assert contents(collection) == {1: ({"revision": 2}, [0, 1])}


@pytest.mark.parametrize("wrong", [DensePoint(2, [1]), DensePoint("no uuid", [1, 0])])
def test_a_wrong_point_stops_the_whole_request(wrong: DensePoint) -> None:
    collection = Collection(CONFIG)
    with pytest.raises(ValueError, match="Wrong input"):
        collection.upsert_dense([DensePoint(1, [1, 0]), wrong])
    assert contents(collection) == {}
