"""Names of collections and aliases."""

from __future__ import annotations

import pytest

from kindred.errors import Misconfigured
from kindred.vectors.names import CollectionNames


def test_names_without_a_namespace() -> None:
    names = CollectionNames()
    assert (names.users_alias, names.items_alias) == ("users", "items")
    assert (names.users("m1"), names.items("m1")) == ("users__m1", "items__m1")


def test_names_with_a_namespace() -> None:
    names = CollectionNames("shop")
    assert (names.users_alias, names.items_alias) == ("shop__users", "shop__items")
    assert (names.users("m1"), names.items("m1")) == ("shop__users__m1", "shop__items__m1")


@pytest.mark.parametrize("model", ["", "a__b", "a/b", "a b", "_a", "ä", "a" * 101])
def test_a_model_that_cannot_be_part_of_a_name(model: str) -> None:
    with pytest.raises(Misconfigured, match="model name"):
        CollectionNames().users(model)
