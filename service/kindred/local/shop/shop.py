"""The film shop as values of the three topics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from kindred import declaration
from kindred.events.descriptions import description, profile
from kindred.events.schema import Interaction, ItemDescription, Profile
from kindred.events.times import to_text
from kindred.local.dataset import Dataset
from kindred.local.shop.films import GENRES, Films, make_films
from kindred.local.shop.people import AGE_GROUPS, COUNTRIES, DEVICES, People, make_people
from kindred.local.shop.visits import make_choices
from kindred.local.shop.walk import TYPES, Strengths, walk

ENDS_AT_US: Final = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ShopShape:
    """How large the shop is, and how new: shares are of users and films that come within the days."""

    users: int = 2_000
    films: int = 1_500
    interactions: int = 100_000  # about so many
    days: int = 60
    new_users: float = 0.2
    new_films: float = 0.1
    strengths: Strengths = field(default_factory=Strengths)


def generate(shape: ShopShape | None = None, *, seed: int = 7, ends_at_us: int = ENDS_AT_US) -> Dataset:
    """A film shop whose last day ends at `ends_at_us`. The same arguments give the same shop."""
    shape = shape or ShopShape()
    rng = np.random.default_rng(seed)
    starts_at_us = ends_at_us - shape.days * _DAY_US
    films = make_films(shape.films, shape.new_films, shape.days, rng)
    people = make_people(shape.users, shape.new_users, shape.days, rng)
    return Dataset(
        name="film_shop",
        declaration=declaration.load(),
        items=_descriptions(films, starts_at_us, rng),
        profiles=_profiles(people, starts_at_us),
        interactions=_interactions(shape, films, people, starts_at_us, rng),
    )


def _descriptions(films: Films, starts_at_us: int, rng: np.random.Generator) -> list[ItemDescription]:
    price = rng.choice([2.99, 3.99, 4.99, 7.99, 12.99], len(films), p=[0.3, 0.3, 0.2, 0.15, 0.05])
    available = rng.random(len(films)) < 0.96
    rights_days = rng.integers(30, 1_000, len(films))
    described = []
    for film, title in enumerate(films.titles):
        arrives_us = starts_at_us + int(films.arrives_days[film] * _DAY_US)
        attributes = {
            "genres": [GENRES[genre] for genre in np.flatnonzero(films.genres[film])],
            "actors": films.actors[film],
            "year": int(films.years[film]),
            "available": bool(available[film]),
            "price": float(price[film]),
            "rights_from": to_text(arrives_us),
            "rights_until": to_text(arrives_us + int(rights_days[film]) * _DAY_US),
        }
        described.append(description(f"f{film + 1}", arrives_us, title, attributes))
    return described


def _profiles(people: People, starts_at_us: int) -> list[Profile]:
    profiles = []
    for user, since in enumerate(people.signed_up_days.tolist()):
        attributes = {
            "age_group": AGE_GROUPS[people.age_groups[user]],
            "country": COUNTRIES[people.countries[user]],
            "device_type": DEVICES[people.devices[user]],
        }
        profiles.append(profile(f"u{user + 1}", starts_at_us + int(since * _DAY_US), attributes))
    return profiles


def _interactions(
    shape: ShopShape, films: Films, people: People, starts_at_us: int, rng: np.random.Generator
) -> list[Interaction]:
    choices = make_choices(people.activity, people.signed_up_days, shape.interactions, shape.days, rng)
    chosen, types = walk(films, people, choices, shape.strengths, rng)
    user = np.repeat(np.arange(len(people)), np.diff(choices.offsets))
    times_us = starts_at_us + (choices.days * 86_400_000).astype(np.int64) * 1_000
    order = np.argsort(times_us, kind="stable")
    columns = zip(
        user[order].tolist(),
        chosen[order].tolist(),
        types[order].tolist(),
        times_us[order].tolist(),
        strict=True,
    )
    return [
        Interaction(f"e{n}", f"u{who + 1}", f"f{film + 1}", TYPES[kind], time_us, None, None)
        for n, (who, film, kind, time_us) in enumerate(columns, start=1)
    ]
