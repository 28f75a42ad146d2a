"""Which dead letters name a user who is erased."""

from __future__ import annotations

import pytest

from kindred.events.naming import names_user, value_names_user

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
    assert names_user(key, value, "ann")


@pytest.mark.parametrize(("key", "value"), DOES_NOT)
def test_these_do_not(key: bytes | None, value: bytes | None) -> None:
    assert not names_user(key, value, "ann")


def test_a_number_names_the_user_of_that_number_only() -> None:
    assert value_names_user(b'{"user_id": 42, "year": 1994', "42")
    assert not value_names_user(b'{"user_id": 42, "year": 1994', "1994")
    assert not value_names_user(b'{"user_id": 421}', "42")


@pytest.mark.parametrize("user_id", ["é", 'say "hi"', "a\\b", "ж", "😀", "x.*y", "a/b"])
def test_any_spelling_of_an_id_is_found(user_id: str) -> None:
    import json

    for ascii_only in (True, False):
        value = json.dumps({"owner": user_id}, ensure_ascii=ascii_only).encode()
        assert value_names_user(value, user_id), value
    assert names_user(user_id.encode(), None, user_id)


def test_bytes_of_any_kind_are_judged() -> None:
    assert not value_names_user(b'\xff\xfe{"user_id": "\\ud800"}' + b"\x00" * 1000, "ann")
    assert not value_names_user(b'"user_id": "' + b"\\" * 100_000, "ann")
    assert not value_names_user(b'"user_id": ' + b"9" * 100_000, "ann")
