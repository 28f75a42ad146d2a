"""Which points a filter selects, for local mode at the sizes of the demo and the benchmark.

Local mode looks at every point, and for `has_id` at every id in the list, in a chain of function calls.
Here each condition narrows an array of candidates, `has_id` first. What is not plain equality, any-of or
range on a top-level field is left to local mode's own `check_condition`, so the answers are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client.http import models
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import (
    check_condition,
    check_filter,
    check_range,
    values_match,
)

Candidates = NDArray[np.intp]  # internal ids, ascending
Test = Callable[[Any], bool]  # of one payload value

_TOP_LEVEL = re.compile(r"[A-Za-z0-9_-]+")


def matching(
    collection: LocalCollection, payload_filter: models.Filter, candidates: Candidates
) -> Candidates:
    """Those of the candidates that the filter accepts, deleted points included."""
    if payload_filter.min_should is not None:
        return _keep(candidates, lambda idx: _slow_filter(collection, payload_filter, idx))
    for condition in sorted(_listed(payload_filter.must), key=_costs_more):
        candidates = _passing(collection, condition, candidates)
    for condition in _listed(payload_filter.must_not):
        candidates = np.setdiff1d(candidates, _passing(collection, condition, candidates), assume_unique=True)
    alternatives = _listed(payload_filter.should)
    if not alternatives:
        return candidates
    return np.unique(np.concatenate([_passing(collection, each, candidates) for each in alternatives]))


def _passing(collection: LocalCollection, condition: models.Condition, candidates: Candidates) -> Candidates:
    if isinstance(condition, models.Filter):
        return matching(collection, condition, candidates)
    if isinstance(condition, models.HasIdCondition):
        return _among(candidates, np.unique(_indexes(collection, condition.has_id)))
    if _is_equality(condition):
        return _equal(collection, condition.key, condition.match.value, candidates)  # type: ignore[union-attr]
    test = _value_test(condition)
    if test is None:
        return _keep(candidates, lambda idx: _slow_condition(collection, condition, idx))
    key, payloads = condition.key, collection.payload  # type: ignore[union-attr]
    return _keep(candidates, lambda idx: _any_value(test, payloads[idx].get(key)))


def _among(candidates: Candidates, few: Candidates) -> Candidates:
    """Those of `few` that are candidates; both ascending."""
    if not len(candidates):
        return candidates
    places = np.minimum(np.searchsorted(candidates, few), len(candidates) - 1)
    found: Candidates = few[candidates[places] == few]
    return found


def _is_equality(condition: models.Condition) -> bool:
    return (
        isinstance(condition, models.FieldCondition)
        and condition.model_fields_set == {"key", "match"}
        and isinstance(condition.match, models.MatchValue)
        and _TOP_LEVEL.fullmatch(condition.key) is not None
    )


def _equal(collection: LocalCollection, key: str, wanted: Any, candidates: Candidates) -> Candidates:
    # The commonest condition, so in one expression. JSON's true, 1 and 1.0 are three values for Qdrant.
    kind, payloads = type(wanted), collection.payload
    accepted = [
        slot
        for slot in candidates.tolist()
        if (type(value := payloads[slot].get(key)) is kind and value == wanted)
        or (type(value) is list and any(type(each) is kind and each == wanted for each in value))
    ]
    return np.array(accepted, dtype=np.intp)


def _value_test(condition: models.Condition) -> Test | None:
    """A test of one value; None where local mode's own check is needed."""
    if not isinstance(condition, models.FieldCondition) or not _TOP_LEVEL.fullmatch(condition.key):
        return None
    if condition.model_fields_set - {"key", "match", "range"}:
        return None
    if isinstance(condition.range, models.Range) and condition.match is None:
        bounds = condition.range
        return lambda value: check_range(bounds, value)
    if isinstance(condition.match, models.MatchAny) and condition.range is None:
        options = condition.match.any
        return lambda value: any(values_match(value, option) for option in options)
    return None


def _any_value(test: Test, value: Any) -> bool:
    return any(map(test, value)) if isinstance(value, list) else value is not None and test(value)


def _indexes(collection: LocalCollection, point_ids: Iterable[Any]) -> Candidates:
    known = (
        collection.ids.get(point_id if isinstance(point_id, int) else str(point_id)) for point_id in point_ids
    )
    return np.array([idx for idx in known if idx is not None], dtype=np.intp)


def _keep(candidates: Candidates, accepts: Callable[[int], bool]) -> Candidates:
    return np.array([idx for idx in candidates.tolist() if accepts(idx)], dtype=np.intp)


def _slow_condition(collection: LocalCollection, condition: models.Condition, idx: int) -> bool:
    has_vector = collection._calculate_has_vector(idx)
    return check_condition(condition, collection.payload[idx], collection.ids_inv[idx], has_vector)


def _slow_filter(collection: LocalCollection, payload_filter: models.Filter, idx: int) -> bool:
    has_vector = collection._calculate_has_vector(idx)
    return check_filter(payload_filter, collection.payload[idx], collection.ids_inv[idx], has_vector)


def _listed(clause: Any) -> list[models.Condition]:
    if clause is None:
        return []
    return clause if isinstance(clause, list) else [clause]


def _costs_more(condition: models.Condition) -> bool:
    return not isinstance(condition, models.HasIdCondition)
