"""Attributes as tokens: every value of every attribute is one row of one embedding table.

An entity (item or user) is a weighted bag of tokens. Token 0 is the identity that unseen entities
share; then come the known identities, then each attribute's values. Of every category the last token
is "unknown", which the values of a single entity train and unseen ones share. A missing value adds no
token, so an entity that nobody described is its identity alone. Vectors stay dense.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Feature, Kind
from kindred.embedding import values

Attributes = Mapping[str, Any]
_NOTHING: Attributes = {}
_LEAST_ENTITIES = 2  # with one value: what one alone has tells nothing that its identity does not tell
_CATEGORIES = (Kind.CATEGORY, Kind.MULTI_CATEGORY)


class FeatureVocabulary(msgspec.Struct, frozen=True):
    """What training saw of one attribute: a category's values, or the inner edges of number buckets."""

    values: list[str] = []
    edges: list[float] = []


@dataclass(frozen=True, slots=True)
class Bags:
    """n entities as compressed sparse rows of weighted tokens, and their dense vectors."""

    tokens: NDArray[np.int64]  # (total,)
    weights: NDArray[np.float32]  # (total,) an attribute's weights sum to 1
    offsets: NDArray[np.int64]  # (n,) start of each bag
    vectors: NDArray[np.float32]  # (n, vector_width)

    def take(self, entities: NDArray[np.int64]) -> Bags:
        """The bags of these entities, in this order, repeated where an entity is."""
        ends = np.append(self.offsets[1:], len(self.tokens))
        sizes = (ends - self.offsets)[entities]
        offsets = np.cumsum(sizes) - sizes
        index = np.repeat(self.offsets[entities] - offsets, sizes) + np.arange(sizes.sum())
        return Bags(self.tokens[index], self.weights[index], offsets, self.vectors[entities])


def joined(parts: Sequence[Bags]) -> Bags:
    """All entities of several bags, one part after another."""
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    return Bags(
        tokens=np.concatenate([part.tokens for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        offsets=np.concatenate([part.offsets + start for part, start in zip(parts, starts, strict=False)]),
        vectors=np.concatenate([part.vectors for part in parts]),
    )


def fit(features: Mapping[str, Feature], entities: Iterable[Attributes]) -> dict[str, FeatureVocabulary]:
    """Learn each attribute's vocabulary: categories without the rare, most frequent first, ties by value."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in features}
    numbers = {name: array("d") for name in features}
    for entity in entities:
        for name, feature in features.items():
            if feature.kind is Kind.CATEGORY:
                counts[name].update(values.single(entity.get(name)))
            elif feature.kind is Kind.MULTI_CATEGORY:
                counts[name].update(list(values.spread(entity.get(name))))
            elif feature.kind is Kind.NUMBER and (number := values.number(entity.get(name))) is not None:
                numbers[name].append(number)
    return {
        name: FeatureVocabulary(
            values=_most_frequent_first(counts[name]),
            edges=_quantile_edges(np.array(numbers[name]), feature.buckets),
        )
        for name, feature in features.items()
    }


def _most_frequent_first(counts: Counter[str]) -> list[str]:
    known = (value for value, count in counts.items() if count >= _LEAST_ENTITIES)
    return sorted(known, key=lambda value: (-counts[value], value))


def _quantile_edges(numbers: NDArray[np.float64], buckets: int) -> list[float]:
    if not len(numbers):
        return []
    inner = np.linspace(0, 1, buckets + 1)[1:-1]
    return [float(edge) for edge in np.unique(np.quantile(numbers, inner))]


class AttributeEncoder:
    """Encodes entities into bags. `identities` counts token 0 and the known identities."""

    def __init__(
        self,
        features: Mapping[str, Feature],
        vocabularies: Mapping[str, FeatureVocabulary],
        identities: int,
    ) -> None:
        self._columns: list[_Column] = []
        self._vectors: list[tuple[str, int]] = []
        self.identities = self.token_count = identities
        self.unknown_tokens: list[int] = []  # one of each category
        for name, feature in features.items():
            if feature.kind is Kind.VECTOR:
                self._vectors.append((name, feature.width))
                continue
            column = _Column(name, feature, vocabularies.get(name, FeatureVocabulary()), self.token_count)
            self._columns.append(column)
            self.token_count += column.size
            if feature.kind in _CATEGORIES:
                self.unknown_tokens.append(column.unknown)
        self.vector_width = sum(width for _, width in self._vectors)

    def encode(self, identities: NDArray[np.int64], entities: Sequence[Attributes | None]) -> Bags:
        """Bags of n entities; `identities` (n,) holds identity tokens, None an undescribed entity."""
        count = len(entities)
        described = [_NOTHING if entity is None else entity for entity in entities]
        rows, tokens = [np.arange(count)], [identities]
        weights = [np.ones(count, np.float32)]
        for column in self._columns:
            column_rows, column_tokens, column_weights = column.encode(described)
            rows.append(column_rows)
            tokens.append(column_tokens)
            weights.append(column_weights)
        flat_rows = np.concatenate(rows)
        order = np.argsort(flat_rows, kind="stable")
        return Bags(
            tokens=np.concatenate(tokens)[order],
            weights=np.concatenate(weights)[order],
            offsets=np.searchsorted(flat_rows[order], np.arange(count)),
            vectors=self._dense(described),
        )

    def _dense(self, entities: Sequence[Attributes]) -> NDArray[np.float32]:
        dense = np.zeros((len(entities), self.vector_width), np.float32)
        start = 0
        for name, width in self._vectors:
            for row, entity in enumerate(entities):
                dense[row, start : start + width] = values.vector(entity.get(name), width)
            start += width
        return dense


_MISSING = -1
_Triplets = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


class _Column:
    """One attribute: which tokens, from `base` on, its values are."""

    def __init__(self, name: str, feature: Feature, vocabulary: FeatureVocabulary, base: int) -> None:
        self._name, self._feature, self._base = name, feature, base
        self._tokens: dict[str | None, int] = {
            None: _MISSING,
            **{value: base + index for index, value in enumerate(vocabulary.values)},
        }
        self._edges = np.asarray(vocabulary.edges, np.float64)
        self.unknown = base + len(vocabulary.values)
        sizes = {Kind.NUMBER: len(vocabulary.edges) + 1, Kind.TEXT: feature.buckets}
        self.size = sizes.get(feature.kind, len(vocabulary.values) + 1)

    def encode(self, entities: Sequence[Attributes]) -> _Triplets:
        """Row, token and weight of every value; the weights of one row sum to 1."""
        if self._feature.kind is Kind.CATEGORY:
            return self._encode_category(entities)
        bags = [self._bag(entity.get(self._name)) for entity in entities]
        sizes = np.fromiter(map(len, bags), np.int64, len(bags))
        rows = np.repeat(np.arange(len(bags)), sizes)
        tokens = np.fromiter((token for bag in bags for token in bag), np.int64, len(rows))
        return rows, tokens, (1.0 / sizes[rows]).astype(np.float32)

    def _encode_category(self, entities: Sequence[Attributes]) -> _Triplets:
        # A shorter way for the commonest kind: every user of every batch passes here.
        found = (entity.get(self._name) for entity in entities)
        texts = (value if value is None or type(value) is str else str(value) for value in found)
        known = (self._tokens.get(text, self.unknown) for text in texts)
        tokens = np.fromiter(known, np.int64, len(entities))
        rows = np.flatnonzero(tokens != _MISSING)
        return rows, tokens[rows], np.ones(len(rows), np.float32)

    def _bag(self, value: Any) -> Sequence[int]:
        if value is None:
            return ()
        if self._feature.kind is Kind.NUMBER:
            number = values.number(value)
            return () if number is None else (self._base + int(self._edges.searchsorted(number, "right")),)
        if self._feature.kind is Kind.TEXT:
            return [
                self._base + values.stable_hash(gram) % self._feature.buckets for gram in values.grams(value)
            ]
        return [self._tokens.get(category, self.unknown) for category in values.spread(value)]
