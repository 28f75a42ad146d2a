"""Columns against Postgres and psycopg's own arrays: the same values there and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kindred.history import columns

KINDS = {
    "text": (
        columns.texts,
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    ),
    "bytea": (columns.blobs, st.none() | st.binary()),
    "float8": (columns.doubles, st.none() | st.floats(allow_nan=False)),
    "int8": (columns.bigints, st.integers(-(2**63), 2**63 - 1)),
    "int4": (columns.integers, st.integers(-(2**31), 2**31 - 1)),
    "int2": (columns.smallints, st.integers(-(2**15), 2**15 - 1)),
}


@pytest.fixture(scope="module")
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True, client_encoding="UTF8") as connection:
        yield connection


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=st.data())
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_postgres_reads_what_psycopgs_own_arrays_say(
    connection: psycopg.Connection[Any], kind: str, drawn: st.DataObject
) -> None:
    column, elements = KINDS[kind]
    values = drawn.draw(st.lists(elements, max_size=20))
    query = f"SELECT %s::{kind}[], %s::{kind}[] = %s::{kind}[], array_send(%s::{kind}[])"
    row = connection.execute(query, [column(values), column(values), values, values]).fetchone()
    assert row == (values, True, column(values).binary)


def test_nan_and_infinity_arrive(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT %s::float8[]", [columns.doubles([math.inf, math.nan])]).fetchone()
    assert row is not None
    assert row[0][0] == math.inf
    assert math.isnan(row[0][1])
