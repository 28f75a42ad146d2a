"""Point ids are a contract: docs/queries.md holds the vectors."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.vectors.ids import LARGEST_INTEGER, NAMESPACE, point_id, point_ids

DOCUMENT = (Path(__file__).parents[3] / "docs" / "queries.md").read_text()
PUBLISHED = re.findall(r'^\| `(".*")` \| `(.*)` \|$', DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize(("external_id", "published"), PUBLISHED)
def test_published_vectors(external_id: str, published: str) -> None:
    assert str(point_id(json.loads(external_id))) == published


def test_the_document_publishes_the_hard_cases() -> None:
    external_ids = {json.loads(external_id) for external_id, _ in PUBLISHED}
    assert {"9007199254740991", "9007199254740992", "007", "-1", "٣", "7\n", "Zoë", "🎬"} <= external_ids
    assert str(NAMESPACE) in DOCUMENT


@given(st.integers(0, LARGEST_INTEGER))
def test_canonical_decimals_are_themselves(number: int) -> None:
    assert point_id(str(number)) == number


@given(st.integers(LARGEST_INTEGER + 1))
def test_larger_decimals_are_uuids(number: int) -> None:
    assert isinstance(point_id(str(number)), str)


@given(st.text(st.characters(codec="utf-8")).filter(lambda text: not re.fullmatch(r"[0-9]*", text)))
def test_anything_else_is_the_uuid_of_its_utf8_bytes(external_id: str) -> None:
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + external_id.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    assert point_id(external_id) == str(UUID(bytes=bytes(digest)))


@given(st.lists(st.text(st.characters(codec="utf-8")), unique=True))
def test_different_ids_are_different_points(external_ids: list[str]) -> None:
    assert len(set(point_ids(external_ids))) == len(external_ids)
