"""The shop's catalogue: what each film is, and where it lies in the space of tastes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.local.shop.names import people, titles

GENRES = (
    "drama",
    "comedy",
    "thriller",
    "romance",
    "action",
    "horror",
    "crime",
    "documentary",
    "science_fiction",
    "adventure",
    "animation",
    "family",
    "fantasy",
    "mystery",
    "war",
    "western",
)
GENRE_WEIGHTS = 1.0 / np.arange(2, len(GENRES) + 2)  # drama is everywhere, a western rare

STYLE_WIDTH = 12  # directions of taste that no attribute names
_ERA_YEARS = 15.0  # films that many years apart lie 1 apart on the era axis
_NEWEST_YEAR = 2026


@dataclass(frozen=True, slots=True)
class Films:
    """`n` films in order of arrival. Row `i` of each array is film `i`."""

    titles: list[str]
    genres: NDArray[np.bool_]  # (n, genres)
    actors: list[list[str]]
    years: NDArray[np.int64]  # (n,)
    places: NDArray[np.float32]  # (n, width): where a taste would have to lie to like it
    appeal: NDArray[np.float32]  # (n,) logarithm of the popularity that no taste explains
    arrives_days: NDArray[np.float32]  # (n,) 0: there from the start

    def __len__(self) -> int:
        return len(self.titles)


def make_films(count: int, new_share: float, days: float, rng: np.random.Generator) -> Films:
    """`count` films, of which `new_share` arrive at even intervals over the `days`."""
    genres = _genres(count, rng)
    cast, actor_styles = _cast(genres, rng)
    names = people(len(actor_styles), rng)
    years = _NEWEST_YEAR - np.minimum(rng.exponential(14.0, count), 80.0).astype(np.int64)
    arrives = np.zeros(count, np.float32)
    new = int(count * new_share)
    arrives[count - new :] = np.linspace(0.0, days, new + 2)[1:-1]
    years[count - new :] = _NEWEST_YEAR
    return Films(
        titles=titles(count, rng),
        genres=genres,
        actors=[[names[actor] for actor in row] for row in cast],
        years=years,
        places=_places(genres, cast, actor_styles, years, rng),
        appeal=_appeal(count, rng),
        arrives_days=arrives,
    )


def genre_places(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Points in the space of tastes for mixtures of genres, (n, width); neutral in style and era."""
    places = np.zeros((len(weights), len(GENRES) + STYLE_WIDTH + 1), np.float32)
    places[:, : len(GENRES)] = weights
    return places


def era_place(years: NDArray[np.floating | np.integer]) -> NDArray[np.float32]:
    """Coordinate on the era axis, 0 around the turn of the century."""
    return np.asarray((years - 2008) / _ERA_YEARS, np.float32)


def _genres(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """One to three genres each; which go together is drawn once for the whole shop."""
    affinity = rng.gamma(0.35, size=(len(GENRES), len(GENRES))) * GENRE_WEIGHTS
    first = rng.choice(len(GENRES), count, p=GENRE_WEIGHTS / GENRE_WEIGHTS.sum())
    held = np.zeros((count, len(GENRES)), bool)
    held[np.arange(count), first] = True
    for share in (0.6, 0.25):
        odds = affinity[first] / affinity[first].sum(1, keepdims=True)
        other = (odds.cumsum(1) < rng.random((count, 1))).sum(1).clip(max=len(GENRES) - 1)
        chosen = rng.random(count) < share
        held[np.flatnonzero(chosen), other[chosen]] = True
    return held


def _cast(
    genres: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[list[NDArray[np.int64]], NDArray[np.float32]]:
    """Actors of each film, and each actor's style. Actors keep to a genre, and few get most parts."""
    actors = max(20, len(genres) // 3)
    home = rng.choice(len(GENRES), actors, p=GENRE_WEIGHTS / GENRE_WEIGHTS.sum())
    fame = 1.0 / np.arange(5, actors + 5) ** 0.8
    styles = rng.normal(size=(actors, STYLE_WIDTH)).astype(np.float32)
    cast = []
    for row in genres:
        odds = fame * np.where(row[home], 8.0, 1.0)
        cast.append(rng.choice(actors, rng.integers(2, 6), replace=False, p=odds / odds.sum()))
    return cast, styles


def _places(
    genres: NDArray[np.bool_],
    cast: list[NDArray[np.int64]],
    actor_styles: NDArray[np.float32],
    years: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Genres, then style (half from the cast, half the film's own), then era."""
    held = genres / np.sqrt(genres.sum(1, keepdims=True))
    places = genre_places(held)
    from_cast = np.stack([actor_styles[row].mean(0) for row in cast])
    own = rng.normal(scale=0.5, size=from_cast.shape)
    places[:, len(GENRES) : -1] = (from_cast + own) * 0.35
    places[:, -1] = era_place(years) * 0.5
    return places


def _appeal(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Zipf-Mandelbrot: log weight falls with the logarithm of a random rank."""
    rank = rng.permutation(count)
    return np.asarray(-1.25 * np.log(rank + 8.0), np.float32)
