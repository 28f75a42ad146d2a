from __future__ import annotations

import pytest

from kindred import declaration
from kindred.declaration import EventType, Role
from kindred.errors import Misconfigured

EVENTS = "[events]\nwatch = {}\n"


def test_roles_and_what_counts_as_seen_are_declared_apart() -> None:
    declared = declaration.parse(
        "[events]\n"
        'watch = { role = "positive" }\n'
        'view = { role = "context", seen = false }\n'
        'skip = { role = "negative", seen = false }\n'
        'dislike = { role = "negative" }\n',
        "test",
    )
    assert declared.positive_types == {"watch"}
    assert declared.negative_types == {"skip", "dislike"}
    assert declared.seen_types == {"watch", "dislike"}


def test_an_event_is_wanted_and_seen_unless_it_says_otherwise() -> None:
    assert declaration.parse(EVENTS, "test").events == {"watch": EventType(Role.POSITIVE, seen=True)}


@pytest.mark.parametrize(
    "text",
    [
        'events = { watch = { role = "loved" } }',
        "[item]\nyear = {}",
        EVENTS + '[item]\nposter = { kind = "vector" }',
        EVENTS + '[item]\nyear = { kind = "number", width = 3 }',
        EVENTS + '[item]\nyear = { kind = "number", buckets = 0 }',
        EVENTS + '[item]\nplot = { kind = "text", buckets = -1 }',
        EVENTS + '[item]\nplot = { kind = "prose" }',
        "user_id_buckets = -1\n" + EVENTS,
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"The declaration shop\.toml is not valid"):
        declaration.parse(text, "shop.toml")
