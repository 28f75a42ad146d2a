"""A generated shop: items in clusters, users who walk from one item to a neighbour of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kindred import declaration
from kindred.declaration import Declaration
from kindred.events.schema import Interaction, ItemDescription, Profile
from kindred.training.dataset import Event, build_log
from kindred.training.event_log import EventLog

USERS, ITEMS, CLUSTERS, EVENTS = 300, 120, 12, 40
DAY_US = 86_400_000_000


@pytest.fixture(scope="session")
def film_shop() -> Declaration:
    return declaration.load()


@pytest.fixture(scope="session")
def shop_events() -> list[Event]:
    rng = np.random.default_rng(5)
    events: list[Event] = [_description(item) for item in range(ITEMS)]
    for user in range(USERS):
        events.append(_profile(user))
        events.extend(_walk(user, rng))
    return events


@pytest.fixture(scope="session")
def shop(shop_events: list[Event]) -> EventLog:
    return build_log(shop_events)


def _walk(user: int, rng: np.random.Generator) -> list[Interaction]:
    cluster, time_us = int(rng.integers(CLUSTERS)), int(rng.integers(30)) * DAY_US
    walk = []
    for step in range(int(rng.integers(5, EVENTS))):
        time_us += int(rng.exponential(DAY_US))
        if rng.random() < 0.1:
            cluster = (cluster + 1) % CLUSTERS
        # A few items of each cluster are much more popular than the others.
        item = cluster + CLUSTERS * min(int(rng.exponential(3)), ITEMS // CLUSTERS - 1)
        kind = "view" if rng.random() < 0.2 else "watch"
        walk.append(Interaction(f"{user}-{step}", f"u{user}", f"i{item}", kind, time_us, None, None))
    return walk


def _description(item: int) -> ItemDescription:
    attributes = {"genres": [f"g{item % CLUSTERS}"], "year": 1980 + item // CLUSTERS}
    return ItemDescription(f"i{item}", 0, f"Film {item}", json.dumps(attributes), b"")


def _profile(user: int) -> Profile:
    return Profile(f"u{user}", 0, json.dumps({"age_group": f"a{user % 5}"}), b"")
