"""Filters on payload, in a small readable form.

    {"genres": "Drama"}                      equal; for a field that holds a list: contains
    {"country": ["DE", "AT"]}                any of these
    {"year": {"gte": 1990, "lt": 2000}}      a range: gt, gte, lt, lte, of numbers or times
    {"available": True, "genres": "Drama"}   all of these

and for a command line: `genres=Drama`, `country=DE,AT`, `year>=1990`, `available=true`, `zip="01234"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, cast

import pydantic
from qdrant_client import models

from kindred.errors import Misconfigured

Filter = Mapping[str, Any]

_BOUNDS = frozenset({"gt", "gte", "lt", "lte"})
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_EXPRESSION = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=|>|<|=)\s*(.+?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def conditions(wanted: Filter | None) -> list[models.Condition]:
    """Qdrant's conditions, all of which must hold. Raises Misconfigured for what is not such a filter."""
    try:
        return [_condition(field, value) for field, value in (wanted or {}).items()]
    except pydantic.ValidationError as error:
        raise Misconfigured(f"The filter {wanted} is not valid: {error.errors()[0]['msg']}.") from error


def parse_filter(expressions: Iterable[str]) -> dict[str, Any]:
    """A filter from the command line. Bounds on one field are joined. Raises Misconfigured."""
    wanted: dict[str, Any] = {}
    for expression in expressions:
        parts = _EXPRESSION.fullmatch(expression)
        if parts is None:
            raise Misconfigured(
                f"The filter {expression!r} is not understood: write field=value, field=one,other, field>=5."
            )
        field, operator, text = parts.groups()
        if operator == "=":
            wanted[field] = _literals(text)
        else:
            _add_bound(wanted, field, _OPERATORS[operator], _literal(text))
    return wanted


def _condition(field: str, value: Any) -> models.Condition:
    if isinstance(value, Mapping):
        return models.FieldCondition(key=field, range=_range(field, value))
    if isinstance(value, list | tuple | set | frozenset):
        return _any_of(field, list(value))
    if isinstance(value, str | bool):
        return models.FieldCondition(key=field, match=models.MatchValue(value=value))
    # Numbers and times are equal by range: Qdrant matches no floats, and 1995 and 1995.0 are one year.
    return models.FieldCondition(key=field, range=_range(field, {"gte": value, "lte": value}))


def _any_of(field: str, values: list[Any]) -> models.Condition:
    if not values:
        raise Misconfigured(f"The filter on {field} allows no value at all: name one, or leave it out.")
    if all(isinstance(value, str) for value in values):
        return models.FieldCondition(key=field, match=models.MatchAny(any=values))
    return models.Filter(should=[_condition(field, value) for value in values])


def _range(field: str, bounds: Mapping[str, Any]) -> models.Range | models.DatetimeRange:
    if not bounds or not bounds.keys() <= _BOUNDS:
        raise Misconfigured(f"The filter on {field} has the bounds {[*bounds]}: use gt, gte, lt, lte.")
    if all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds.values()):
        return models.Range(**bounds)
    if all(isinstance(bound, str | date | datetime) for bound in bounds.values()):
        return models.DatetimeRange(**bounds)
    raise Misconfigured(f"The filter on {field} is no range of numbers or of times: {dict(bounds)}.")


def _add_bound(wanted: dict[str, Any], field: str, bound: str, value: Any) -> None:
    if not isinstance(wanted.setdefault(field, {}), dict):
        raise Misconfigured(f"The filter asks for both a value and a range of {field}: choose one.")
    cast(dict[str, Any], wanted[field])[bound] = value


def _literals(text: str) -> Any:
    values = [_literal(part.strip()) for part in text.split(",")]
    return values if len(values) > 1 else values[0]


def _literal(text: str) -> str | bool | int | float:
    """A boolean or a number where it looks like one; quotes keep it a string."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if set(text) & set(".eE") else int(text)
