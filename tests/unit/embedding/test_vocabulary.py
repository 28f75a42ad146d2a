from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from kindred.declaration import Feature, Kind
from kindred.embedding.towers import TokenBag
from kindred.embedding.vocabulary import AttributeEncoder, Bags, FeatureVocabulary, fit

GENRES = {"genres": Feature(kind=Kind.MULTI_CATEGORY)}
YEAR = {"year": Feature(kind=Kind.NUMBER, buckets=4)}


def encode(features: dict[str, Feature], entities: list[Any], seen: list[Any] | None = None) -> Bags:
    encoder = AttributeEncoder(features, fit(features, seen if seen is not None else entities), 1)
    return encoder.encode(np.zeros(len(entities), np.int64), entities)


def bag(bags: Bags, row: int) -> dict[int, float]:
    single = bags.take(np.array([row]))
    return dict(zip(single.tokens.tolist(), single.weights.tolist(), strict=True))


def test_values_of_a_multi_category_share_a_weight_of_one() -> None:
    seen = [{"genres": ["drama", "war"]}, {"genres": ["drama"]}, {"genres": ["war", "drama"]}]
    bags = encode(GENRES, seen)
    assert bag(bags, 0) == {0: 1.0, 1: 0.5, 2: 0.5}
    assert bag(bags, 1) == {0: 1.0, 1: 1.0}


@pytest.mark.parametrize("missing", [None, {}, {"genres": None}, {"genres": [None]}, {"genres": []}])
def test_what_is_missing_adds_no_token(missing: Any) -> None:
    assert bag(encode(GENRES, [missing], seen=2 * [{"genres": ["drama"]}]), 0) == {0: 1.0}


@pytest.mark.parametrize("features", [GENRES, {"genres": Feature()}])
def test_unseen_values_share_a_token_which_the_rare_ones_train(features: dict[str, Feature]) -> None:
    seen = [{"genres": "drama"}, {"genres": "drama"}, {"genres": "rare"}]
    bags = encode(features, [{"genres": "drama"}, {"genres": "rare"}, {"genres": "never seen"}], seen)
    assert [bag(bags, row) for row in range(3)] == [{0: 1.0, 1: 1.0}, {0: 1.0, 2: 1.0}, {0: 1.0, 2: 1.0}]


def test_an_unknown_value_weighs_as_much_as_the_known_one_beside_it() -> None:
    bags = encode(GENRES, [{"genres": ["drama", "never seen"]}], seen=2 * [{"genres": ["drama"]}])
    assert bag(bags, 0) == {0: 1.0, 1: 0.5, 2: 0.5}


def test_an_unknown_value_that_training_never_met_says_nothing() -> None:
    encoder = AttributeEncoder(GENRES, fit(GENRES, 2 * [{"genres": ["drama"]}]), 1)
    described = encoder.encode(np.zeros(3, np.int64), [{}, {"genres": ["never seen"]}, {"genres": ["drama"]}])
    bare, unknown, known = TokenBag(encoder, 8)(described)
    assert torch.equal(bare, unknown)
    assert not torch.equal(bare, known)


def test_categories_are_numbered_by_frequency_then_name() -> None:
    seen = [{"genres": ["war", "drama"]}, {"genres": ["war", "action"]}, {"genres": ["action", "drama"]}]
    assert fit(GENRES, [*seen, {"genres": "war"}])["genres"].values == ["war", "action", "drama"]


def test_a_missing_category_is_not_the_word_none() -> None:
    country = {"country": Feature()}
    assert bag(encode(country, [{"country": None}], seen=[{"country": "None"}]), 0) == {0: 1.0}


def test_numbers_fall_into_quantile_buckets_and_may_come_as_text() -> None:
    seen = [{"year": year} for year in range(1900, 2000)]
    bags = encode(YEAR, [{"year": 1800}, {"year": "1930"}, {"year": 2500}, {"year": "soon"}], seen)
    assert [sorted(bag(bags, row)) for row in range(4)] == [[0, 1], [0, 2], [0, 4], [0]]


def test_equal_numbers_make_one_bucket() -> None:
    assert fit(YEAR, [{"year": 2000}] * 9)["year"].edges == [2000.0]


def test_text_shares_tokens_between_similar_words() -> None:
    title = {"title": Feature(kind=Kind.TEXT, buckets=4096)}
    bags = encode(title, [{"title": "Alien"}, {"title": "ALIENS"}, {"title": "Heat"}])
    alien, aliens, heat = (set(bag(bags, row)) - {0} for row in range(3))
    assert len(alien & aliens) >= 3
    assert not alien & heat


@pytest.mark.parametrize("vector", [None, [1.0], [1.0, float("nan")], "text", [[1.0, 2.0]]])
def test_a_vector_that_does_not_fit_counts_as_zero(vector: Any) -> None:
    features = {"plot": Feature(kind=Kind.VECTOR, width=2)}
    bags = encode(features, [{"plot": vector}, {"plot": [1.0, 2.0]}])
    assert bags.vectors.tolist() == [[0.0, 0.0], [1.0, 2.0]]


def test_taking_bags_equals_encoding_those_entities() -> None:
    entities = [{"genres": ["a", "b"]}, {}, {"genres": ["b"]}]
    encoder = AttributeEncoder(GENRES, {"genres": FeatureVocabulary(values=["a", "b"])}, 5)
    identities, chosen = np.array([4, 0, 2]), np.array([2, 0, 0, 1])
    taken = encoder.encode(identities, entities).take(chosen)
    direct = encoder.encode(identities[chosen], [entities[row] for row in chosen])
    for column in ("tokens", "weights", "offsets", "vectors"):
        np.testing.assert_array_equal(getattr(taken, column), getattr(direct, column))
