"""The shop's users: who they are, what they like, and how often they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.local.shop.films import GENRES, STYLE_WIDTH, era_place, genre_places

AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
COUNTRIES = ("DE", "ES", "FR", "GB", "IN", "JP", "PL", "SE", "US")
DEVICES = ("phone", "tv", "tablet", "desktop")

# Columns as in DEVICES: the young watch on phones, the old on television.
_DEVICE_ODDS = np.array(
    [
        [0.65, 0.12, 0.08, 0.15],
        [0.50, 0.22, 0.10, 0.18],
        [0.35, 0.35, 0.15, 0.15],
        [0.25, 0.45, 0.15, 0.15],
        [0.15, 0.55, 0.18, 0.12],
        [0.08, 0.65, 0.20, 0.07],
    ]
)
_AGE_ODDS = np.array([0.20, 0.27, 0.20, 0.15, 0.11, 0.07])
_FAVOURITE_YEAR = np.array([2022.0, 2018.0, 2011.0, 2004.0, 1996.0, 1988.0])


@dataclass(frozen=True, slots=True)
class People:
    """`n` users in order of signing up. Row `i` of each array is user `i`."""

    age_groups: NDArray[np.int64]  # (n,) indexes into AGE_GROUPS, likewise below
    countries: NDArray[np.int64]
    devices: NDArray[np.int64]
    tastes: NDArray[np.float32]  # (n, width), in the same space as the films' places
    activity: NDArray[np.float64]  # (n,) relative number of visits
    signed_up_days: NDArray[np.float64]  # (n,) negative: before the first day

    def __len__(self) -> int:
        return len(self.tastes)


def make_people(count: int, new_share: float, days: float, rng: np.random.Generator) -> People:
    """`count` users, of whom about `new_share` sign up at random moments of the `days`."""
    ages = rng.choice(len(AGE_GROUPS), count, p=_AGE_ODDS)
    country_odds = 1.0 / np.arange(2, len(COUNTRIES) + 2)
    countries = rng.choice(len(COUNTRIES), count, p=country_odds / country_odds.sum())
    devices = (_DEVICE_ODDS[ages].cumsum(1) < rng.random((count, 1))).sum(1).clip(max=len(DEVICES) - 1)
    is_new = rng.random(count) < new_share
    signed_up = np.where(is_new, rng.uniform(0.0, days, count), -rng.exponential(200.0, count))
    return People(
        age_groups=ages,
        countries=countries,
        devices=devices,
        tastes=_tastes(ages, countries, devices, rng),
        activity=rng.lognormal(0.0, 1.0, count),
        signed_up_days=np.sort(signed_up),
    )


def _tastes(
    ages: NDArray[np.int64],
    countries: NDArray[np.int64],
    devices: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """What age, country and device have in common, plus what is one's own: two or three loved genres."""
    shared = (
        0.8 * rng.normal(size=(len(AGE_GROUPS), len(GENRES)))[ages]
        + 0.6 * rng.normal(size=(len(COUNTRIES), len(GENRES)))[countries]
        + 0.5 * rng.normal(size=(len(DEVICES), len(GENRES)))[devices]
    )
    own = rng.gamma(0.25, size=shared.shape) * 2.0
    tastes = genre_places(0.55 * shared + own)
    tastes[:, len(GENRES) : -1] = rng.normal(scale=0.8, size=(len(ages), STYLE_WIDTH))
    tastes[:, -1] = era_place(_FAVOURITE_YEAR[ages] + rng.normal(scale=8.0, size=len(ages)))
    tastes /= np.linalg.norm(tastes, axis=1, keepdims=True)
    return tastes
