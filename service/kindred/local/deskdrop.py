"""Deskdrop: a year of an internal article-sharing platform, the nearest to a live event stream.

https://www.kaggle.com/datasets/gspmoreira/articles-sharing-reading-from-cit-deskdrop. The articles
themselves are not read, so items are known by id alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kindred.declaration import Declaration, EventType, Feature
from kindred.events.descriptions import profile
from kindred.events.schema import Interaction, Profile
from kindred.local.dataset import Dataset
from kindred.local.files import read_rows

_TYPES = {
    "VIEW": "view",
    "LIKE": "like",
    "BOOKMARK": "bookmark",
    "FOLLOW": "follow",
    "COMMENT CREATED": "comment",
}
# Reading is what people do here (85 % of the events), so a view is wanted, not merely looked at.
_DECLARATION = Declaration(
    events={name: EventType() for name in _TYPES.values()},
    user={"country": Feature(), "device_type": Feature()},
)
_DEVICES = (("iPad", "tablet"), ("iPhone", "phone"), ("Android", "phone"), ("Mozilla", "desktop"))


class _Visit(NamedTuple):
    time_us: int
    user: str
    article: str
    type: str
    device: str | None
    country: str | None


def load_deskdrop(directory: Path) -> Dataset:
    """1,895 users, 2,987 articles, 72,312 events. Raises Misconfigured."""
    visits = sorted(
        read_rows(directory / "users_interactions.csv.gz", ",", _visit, header=True),
        key=lambda visit: visit.time_us,
    )
    return Dataset(
        name="deskdrop",
        declaration=_DECLARATION,
        items=(),
        profiles=_profiles(visits),
        interactions=[
            Interaction(f"e{n}", visit.user, visit.article, visit.type, visit.time_us, None, None)
            for n, visit in enumerate(visits, start=1)
        ],
    )


def _visit(row: list[str]) -> _Visit:
    seconds, event_type, article, person, _, agent, _, country = row
    if event_type not in _TYPES:
        raise ValueError(f"unknown event type {event_type!r}")
    device = next((device for mark, device in _DEVICES if mark in agent), None)
    return _Visit(int(seconds) * 1_000_000, person, article, _TYPES[event_type], device, country or None)


def _profiles(visits: Sequence[_Visit]) -> list[Profile]:
    """As of a user's first visit; the file tells some users' device and country only at a later one."""
    joined_at_us: dict[str, int] = {}
    attributes: dict[str, dict[str, str]] = {}
    for visit in visits:
        joined_at_us.setdefault(visit.user, visit.time_us)
        known = attributes.setdefault(visit.user, {})
        for name, value in (("device_type", visit.device), ("country", visit.country)):
            if value is not None:
                known.setdefault(name, value)
    return [profile(user, time_us, attributes[user]) for user, time_us in joined_at_us.items()]
