"""MovieLens 100K and 1M, as GroupLens' own files (https://grouplens.org/datasets/movielens/).

A rating says that the film was watched, so every one is positive, as in the published benchmarks; how
well it was liked is in the event type (`rated_1` to `rated_5`) and the value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from kindred.declaration import Declaration, EventType, Feature, Kind
from kindred.events.descriptions import description, profile
from kindred.events.schema import Interaction, ItemDescription
from kindred.local.dataset import Dataset
from kindred.local.files import read_rows

SECOND_US = 1_000_000
_ONE_M_GAP_US = 6 * 3_600 * SECOND_US
_ONE_M_PIVOT_US = 1_000_000_000 * SECOND_US  # September 2001; the longest history begins 15 months before
_ONE_M_PIVOT_SHARE = 0.8

_DECLARATION = Declaration(
    events={f"rated_{stars}": EventType() for stars in range(1, 6)},
    user={"age_group": Feature(), "gender": Feature(), "occupation": Feature()},
    item={"genres": Feature(kind=Kind.MULTI_CATEGORY), "year": Feature(kind=Kind.NUMBER, buckets=16)},
)
_AGES = ((56, "56+"), (50, "50-55"), (45, "45-49"), (35, "35-44"), (25, "25-34"), (18, "18-24"))
_OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
_YEAR = re.compile(r"\((\d{4})\)\s*$", re.ASCII)

Rating = tuple[int, str, str, int]  # time_us, user, film, stars


def load_ml_100k(directory: Path) -> Dataset:
    """943 users, 1,682 films, 100,000 ratings with their own times. Raises Misconfigured."""
    ratings = sorted(
        read_rows(directory / "u.data", "\t", lambda row: (_us(row[3]), row[0], row[1], int(row[2]))),
        key=lambda rating: rating[0],
    )
    genres = [name for name, _ in read_rows(directory / "u.genre", "|", lambda row: (row[0], row[1]))]
    films = read_rows(directory / "u.item", "|", lambda row: (row[0], row[1], _held(row[5:], genres)))
    users = read_rows(directory / "u.user", "|", lambda row: (row[0], _person(int(row[1]), row[2], row[3])))
    return _dataset("ml-100k", ratings, films, users)


def load_ml_1m(directory: Path) -> Dataset:
    """6,040 users, 3,416 rated films, 999,611 ratings in each user's order. Raises Misconfigured.

    The file has no clock, so one is made. Everybody rates a film every six hours: were the time between two
    ratings to depend on how many there are, a tower that reads gaps would know how many are yet to come. At
    one moment everybody has given four fifths of their own ratings, so that a log that is cut there knows
    every user; after a later one, only those who rate much go on. A shift, different for each user, keeps
    them from moving in step.
    """
    rows = list(
        read_rows(
            directory / "ratings_chronological.csv.gz",
            ",",
            lambda row: (row[0], row[1], int(row[2]), int(row[3])),
            header=True,
        )
    )
    films = read_rows(directory / "movies.dat", "::", lambda row: (row[0], row[1], row[2].split("|")))
    users = read_rows(
        directory / "users.dat",
        "::",
        lambda row: (row[0], _person(int(row[2]), row[1], _OCCUPATIONS[int(row[3])])),
    )
    return _dataset("ml-1m", sorted(_with_clock(rows)), films, users)


def _with_clock(rows: list[tuple[str, str, int, int]]) -> Iterator[Rating]:
    lengths = Counter(user for user, *_ in rows)
    for user, film, stars, position in rows:
        # Multiples of the golden ratio spread the users evenly over the unit interval.
        shift = int(user) * 0.618_033_988_75 % 1.0
        before_pivot = round((_ONE_M_PIVOT_SHARE * lengths[user] - shift) * _ONE_M_GAP_US)
        yield _ONE_M_PIVOT_US - before_pivot + position * _ONE_M_GAP_US, user, film, stars


def _dataset(
    name: str,
    ratings: list[Rating],
    films: Iterable[tuple[str, str, list[str]]],
    users: Iterable[tuple[str, dict[str, str]]],
) -> Dataset:
    """Films are described when the data begins, each user when the user's own ratings begin."""
    started_at_us = ratings[0][0]
    joined_at_us: dict[str, int] = {}
    for time_us, user, _, _ in ratings:
        joined_at_us.setdefault(user, time_us)
    profiles = [profile(user, joined_at_us[user], person) for user, person in users if user in joined_at_us]
    return Dataset(
        name=name,
        declaration=_DECLARATION,
        items=[_described(film, title, genres, started_at_us) for film, title, genres in films],
        profiles=sorted(profiles, key=lambda each: each.updated_at_us),
        interactions=[
            Interaction(f"e{n}", user, film, f"rated_{stars}", time_us, float(stars), None)
            for n, (time_us, user, film, stars) in enumerate(ratings, start=1)
        ],
    )


def _described(film: str, title: str, genres: list[str], time_us: int) -> ItemDescription:
    year = _YEAR.search(title)
    attributes: dict[str, object] = {"genres": genres}
    return description(film, time_us, title, attributes | ({"year": int(year[1])} if year else {}))


def _person(age: int, gender: str, occupation: str) -> dict[str, str]:
    age_group = next((name for least, name in _AGES if age >= least), "under 18")
    return {"age_group": age_group, "gender": gender, "occupation": occupation}


def _held(flags: list[str], names: list[str]) -> list[str]:
    return [name for flag, name in zip(flags, names, strict=True) if flag == "1"]


def _us(seconds: str) -> int:
    return int(seconds) * SECOND_US
