"""Which dead letters name a user who is erased."""

from __future__ import annotations

import pytest

from kindred.events.naming import named_users, spellings


def names(key: bytes | None, value: bytes | None, *user_ids: str, is_item: bool = False) -> list[str]:
    """Those of the users that such a record names."""
    return named_users(key or b"", value or b"", {each: spellings(each) for each in user_ids}, is_item)


NAMES = [
    (b"ann", None),
    (b'"ann"', None),
    (None, b'{"user_id": "ann", "item_id": 7'),  # cut off
    (None, b'{"user_id":"bob","user_id":"ann"}'),
    (None, b'{"user_id": "\\u0061nn"}'),
    (None, b"ann;film;1"),
    (None, b'{"userId": "ann"}'),
    (None, b'{"user": {"user_id": "ann"}}'),
]
DOES_NOT = [
    (b"anna", None),
    (b"bob", b'{"user_id": "bob", "context": {"note": "ann"}}'),
    (None, b"banner;joann;ann-marie;ann@example.org"),
    (None, b'{"user_id": "Ann"}'),
    (None, b""),
    (None, None),
]


@pytest.mark.parametrize(("key", "value"), NAMES)
def test_these_name_ann(key: bytes | None, value: bytes | None) -> None:
    assert names(key, value, "ann")


@pytest.mark.parametrize(("key", "value"), DOES_NOT)
def test_these_do_not(key: bytes | None, value: bytes | None) -> None:
    assert not names(key, value, "ann")


def test_a_number_names_the_user_of_that_number_only() -> None:
    assert names(None, b'{"user_id": 42, "year": 1994', "42")
    assert not names(None, b'{"user_id": 42, "year": 1994', "1994")
    assert not names(None, b'{"user_id": 421}', "42")


@pytest.mark.parametrize("user_id", ["é", 'say "hi"', "a\\b", "ж", "😀", "x.*y", "a/b"])
def test_any_spelling_of_an_id_is_found(user_id: str) -> None:
    import json

    for ascii_only in (True, False):
        value = json.dumps({"owner": user_id}, ensure_ascii=ascii_only).encode()
        assert names(None, value, user_id), value
    assert names(user_id.encode(), None, user_id)


def test_of_many_users_those_that_are_named_are_told() -> None:
    assert names(b"eve", b'{"user_id": "ann", "user_id": "\\u0062ob"}', "ann", "bob", "carl", "eve") == [
        "ann", "bob", "eve",
    ]  # fmt: skip
    assert names(b"eve", b"ann;carl", "ann", "bob", "carl", "eve") == ["ann", "carl", "eve"]


def test_of_an_item_only_what_speaks_of_a_user_counts() -> None:
    assert names(b"7", b'{"title": "ann"', "7", "ann", is_item=True) == []
    assert names(b"7", b'{"user_id": "ann", "title": "bob"', "7", "ann", "bob", is_item=True) == ["ann"]
    assert names(b"7", b'{"user_id": [ann', "7", "ann", is_item=True) == ["ann"]


def test_bytes_of_any_kind_are_judged() -> None:
    assert not names(None, b'\xff\xfe{"user_id": "\\ud800"}' + b"\x00" * 1000, "ann")
    assert not names(None, b'"user_id": "' + b"\\" * 100_000, "ann")
    assert not names(None, b'"user_id": ' + b"9" * 100_000, "ann")
