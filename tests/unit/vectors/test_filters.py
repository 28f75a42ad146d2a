"""Filters in, Qdrant's conditions out; the command line's form too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from qdrant_client import models

from kindred.errors import Misconfigured
from kindred.vectors.filters import conditions, parse_filter


def condition(**filter: Any) -> models.Condition:
    (only,) = conditions(filter)
    return only


def test_no_filter_is_no_condition() -> None:
    assert conditions(None) == conditions({}) == []


def test_text_and_booleans_are_matched() -> None:
    assert condition(genres="Drama") == field("genres", match=models.MatchValue(value="Drama"))
    assert condition(available=True) == field("available", match=models.MatchValue(value=True))


def test_numbers_and_times_are_equal_by_range() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert condition(year=1995) == field("year", range=models.Range(gte=1995, lte=1995))
    assert condition(rights_from=noon) == field("rights_from", range=models.DatetimeRange(gte=noon, lte=noon))


def test_any_of() -> None:
    assert condition(country=["DE", "AT"]) == field("country", match=models.MatchAny(any=["DE", "AT"]))
    assert condition(year=[1, 2]) == models.Filter(should=[condition(year=1), condition(year=2)])


def test_ranges() -> None:
    assert condition(year={"gte": 1990, "lt": 2000}) == field("year", range=models.Range(gte=1990, lt=2000))
    assert condition(rights_until={"gt": "2026-01-01T00:00:00Z"}) == field(
        "rights_until", range=models.DatetimeRange(gt=datetime(2026, 1, 1, tzinfo=UTC))
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"year": {}},
        {"year": {"min": 1990}},
        {"year": {"gte": True}},
        {"year": {"gte": 1990, "lt": "2026-01-01"}},
        {"rights_until": {"gte": "soon"}},
        {"country": []},
        {"country": None},
    ],
)
def test_what_is_no_filter_is_misconfigured(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=next(iter(wrong))):
        conditions(wrong)


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([], {}),
        (["genres=Drama"], {"genres": "Drama"}),
        (["genres = Film Noir"], {"genres": "Film Noir"}),
        (["country=DE,AT"], {"country": ["DE", "AT"]}),
        (["available=true"], {"available": True}),
        (["year=1995"], {"year": 1995}),
        (['zip="01234"'], {"zip": "01234"}),
        (["year>=1990", "year<2000"], {"year": {"gte": 1990, "lt": 2000}}),
        (["price<=4.5"], {"price": {"lte": 4.5}}),
        (["price>-1"], {"price": {"gt": -1}}),
        (["rights_until>2026-01-01T00:00:00Z"], {"rights_until": {"gt": "2026-01-01T00:00:00Z"}}),
        (["title=a=b"], {"title": "a=b"}),
    ],
)
def test_command_line_form(expressions: list[str], expected: dict[str, Any]) -> None:
    assert parse_filter(expressions) == expected


@pytest.mark.parametrize("wrong", ["genres", "=Drama", "genres=", ">=5"])
def test_what_is_no_expression_is_misconfigured(wrong: str) -> None:
    with pytest.raises(Misconfigured, match="field=value"):
        parse_filter([wrong])


def test_a_value_and_a_range_of_one_field_contradict() -> None:
    with pytest.raises(Misconfigured, match="year"):
        parse_filter(["year=1995", "year<2000"])


def field(key: str, **what: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, **what)
