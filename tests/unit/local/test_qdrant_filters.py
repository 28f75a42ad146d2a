"""The embedded server's filters select what local mode's own would."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http import models
from qdrant_client.local.payload_filters import calculate_payload_mask

from kindred.local.qdrant_collection import Collection, DensePoint
from kindred.local.qdrant_filters import matching

keys = st.sampled_from(["genre", "year", "a.b"])
scalars = st.one_of(st.sampled_from(["x", "y"]), st.booleans(), st.integers(0, 3), st.none(), st.just(1.5))
payloads = st.dictionaries(keys, st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=3)
matches = st.one_of(
    st.builds(
        models.MatchValue, value=st.one_of(st.sampled_from(["x", "y"]), st.booleans(), st.integers(0, 3))
    ),
    st.builds(models.MatchAny, any=st.lists(st.sampled_from(["x", "y"]), max_size=2)),
    st.just(models.MatchExcept(**{"except": ["x"]})),
)
ranges = st.builds(models.Range, gte=st.none() | st.integers(0, 3), lt=st.none() | st.integers(0, 3))
simple: st.SearchStrategy[Any] = st.one_of(
    st.builds(models.FieldCondition, key=keys, match=matches),
    st.builds(models.FieldCondition, key=keys, range=ranges),
    st.builds(models.HasIdCondition, has_id=st.lists(st.integers(0, 9), max_size=4)),
    st.builds(lambda key: models.IsEmptyCondition(is_empty=models.PayloadField(key=key)), keys),
)


def filters(condition: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    clause = st.none() | st.lists(condition, max_size=3)
    return st.builds(models.Filter, must=clause, must_not=clause, should=clause)


@given(st.lists(payloads, max_size=8), filters(simple | filters(simple)))
def test_the_same_points_as_local_mode(stored: list[dict[str, Any]], wanted: models.Filter) -> None:
    collection = Collection(
        models.CreateCollection(vectors=models.VectorParams(size=1, distance=models.Distance.DOT))
    )
    collection.upsert_dense([DensePoint(number, [1.0], payload) for number, payload in enumerate(stored)])
    expected = calculate_payload_mask(
        collection.payload, wanted, collection.ids_inv, collection.deleted_per_vector
    )
    selected = matching(collection, wanted, np.arange(len(stored)))
    assert selected.tolist() == np.flatnonzero(expected).tolist()
