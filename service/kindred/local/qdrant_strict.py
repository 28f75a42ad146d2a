"""Strict mode: a filter on a field without an index of the right kind is refused.

The kinds are those of Qdrant's own check (lib/segment/src/problems/unindexed_field.rs, version 1.18).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qdrant_client.http import models

Kind = models.PayloadSchemaType


def refuse_unindexed(payload_filter: models.Filter, indexes: Mapping[str, Kind]) -> None:
    """Raise ValueError, worded as the server words it, for the first condition without an index."""
    for condition in _conditions(payload_filter):
        if isinstance(condition, models.Filter):
            refuse_unindexed(condition, indexes)
        elif isinstance(condition, models.FieldCondition):
            needed = _needed(condition)
            if indexes.get(condition.key) not in needed:
                kinds = ", ".join(kind.value for kind in needed)
                field = f'Index required but not found for "{condition.key}"'
                raise ValueError(f"{field} of one of the following types: [{kinds}]")


def refuse_unordered(key: str, indexes: Mapping[str, Kind]) -> None:
    """Raise ValueError where a scroll cannot be ordered by this field; so in every mode."""
    if indexes.get(key) not in {Kind.INTEGER, Kind.FLOAT, Kind.DATETIME}:
        raise ValueError(f"No range index for `order_by` key: `{key}`. Please create one to use `order_by`.")


def _conditions(payload_filter: models.Filter) -> Iterator[models.Condition]:
    for clause in (payload_filter.must, payload_filter.must_not, payload_filter.should):
        if clause is not None:
            yield from clause if isinstance(clause, list) else [clause]


def _needed(condition: models.FieldCondition) -> list[Kind]:
    if isinstance(condition.range, models.DatetimeRange):
        return [Kind.DATETIME]
    if isinstance(condition.range, models.Range):
        return [Kind.FLOAT, Kind.INTEGER]
    example = _example(condition.match)
    if isinstance(example, bool):
        return [Kind.BOOL]
    return [Kind.INTEGER] if isinstance(example, int) else [Kind.KEYWORD]


def _example(match: models.Match | None) -> object:
    if isinstance(match, models.MatchValue):
        return match.value
    return match.any[0] if isinstance(match, models.MatchAny) and match.any else None
