"""Which film is chosen next, and what becomes of it: every user's walk through the catalogue.

The users are walked side by side, one choice each at a time, so that a step is a few array operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.local.shop.films import Films
from kindred.local.shop.people import People
from kindred.local.shop.visits import Choices

TYPES = ("view", "watch", "like", "purchase", "dislike")
VIEW, WATCH, LIKE, PURCHASE, DISLIKE = range(len(TYPES))

_BLOCK_USERS = 1024  # bounds the memory: a block holds users x films of scores


@dataclass(frozen=True, slots=True)
class Strengths:
    """How strongly each cause weighs in a choice, as factors of a softmax's scores."""

    taste: float = 9.0  # lasting, though it drifts
    interest: float = 2.5  # what one is after for some days
    recent: float = 2.5  # the films chosen in this and the last visits
    release: float = 1.5  # a new film on the shop's front page
    drift_per_day: float = 0.03
    interest_days: float = 8.0
    recent_days: float = 0.5
    release_days: float = 6.0


def walk(
    films: Films, people: People, choices: Choices, strengths: Strengths, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Film and type of every choice, (n,) each, in the order of `choices`."""
    chosen = np.zeros(len(choices.days), np.int64)
    types = np.zeros(len(choices.days), np.int8)
    lengths = np.diff(choices.offsets)
    for first in range(0, len(people), _BLOCK_USERS):
        users = np.arange(first, min(first + _BLOCK_USERS, len(people)))
        users = users[np.argsort(-lengths[users], kind="stable")]  # so that a step is a prefix
        minds = _Minds(films, people.tastes[users], strengths, rng)
        for rows in _steps(choices.offsets[users], lengths[users]):
            chosen[rows], types[rows] = minds.choose(choices.days[rows], choices.starts_visit[rows])
    return chosen, types


def _steps(offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows of all users' first choice, then of their second, and so on; longest users first."""
    for step in range(int(lengths[0])):
        active = int(np.searchsorted(-lengths, -step, side="left"))
        yield offsets[:active] + step


class _Minds:
    """What a block of users has in mind: taste, interest, the films of late, and what they have seen."""

    def __init__(
        self,
        films: Films,
        tastes: NDArray[np.float32],
        strengths: Strengths,
        rng: np.random.Generator,
    ) -> None:
        self._films, self._strengths, self._rng = films, strengths, rng
        self._taste = tastes.copy()
        self._interest = films.places[rng.integers(len(films), size=len(tastes))]
        self._recent = np.zeros_like(tastes)
        self._barred = np.zeros((len(tastes), len(films)), np.float32)  # -inf: seen
        self._new = slice(int(np.searchsorted(films.arrives_days, 0.0, side="right")), len(films))
        self._at = np.zeros(len(tastes))

    def choose(
        self, days: NDArray[np.float64], starts_visit: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next film of the first `len(days)` users, and what becomes of it."""
        users = np.arange(len(days))
        self._pass_time(days, starts_visit)
        film = self._draw(self._scores(days))
        outcome = self._outcome(film, days)
        self._barred[users, film] = np.where(outcome == VIEW, 0.0, -np.inf)
        weight = np.array([0.2, 0.4, 0.5, 0.4, 0.0], np.float32)[outcome][:, None]
        self._recent[users] += weight * (self._films.places[film] - self._recent[users])
        return film, outcome

    def _pass_time(self, days: NDArray[np.float64], starts_visit: NDArray[np.bool_]) -> None:
        """Tastes drift, interests change and the films of late fade, between visits alone."""
        came = np.flatnonzero(starts_visit)
        gap = (days[came] - self._at[came])[:, None]
        noise = self._rng.normal(size=(len(came), self._taste.shape[1]))
        drifted = self._taste[came] + self._strengths.drift_per_day * np.sqrt(gap) * noise
        self._taste[came] = drifted / np.linalg.norm(drifted, axis=1, keepdims=True)
        self._recent[came] *= np.exp(-gap / self._strengths.recent_days)
        lost = came[self._rng.random(len(came)) > np.exp(-gap[:, 0] / self._strengths.interest_days)]
        self._interest[lost] = self._films.places[self._rng.integers(len(self._films), size=len(lost))]
        self._at[: len(days)] = days

    def _scores(self, days: NDArray[np.float64]) -> NDArray[np.float32]:
        """(users, films), minus infinity where a film was seen or is not out yet."""
        strengths, count = self._strengths, len(days)
        wish = (
            strengths.taste * self._taste[:count]
            + strengths.interest * self._interest[:count]
            + strengths.recent * self._recent[:count]
        )
        scores: NDArray[np.float32] = wish @ self._films.places.T
        scores += self._films.appeal
        scores[:, self._new] += self._front_page(days)
        unseen = scores + self._barred[:count]
        seen_everything = np.isinf(unseen.max(1))[:, None]  # in a tiny shop: then they see films again
        return np.where(seen_everything, scores, unseen)

    def _front_page(self, days: NDArray[np.float64]) -> NDArray[np.float32]:
        """What being new adds to the score of each film that was not there from the start."""
        age = days[:, None].astype(np.float32) - self._films.arrives_days[self._new]
        shown = self._strengths.release * np.exp(-np.maximum(age, 0) / self._strengths.release_days)
        return np.where(age < 0, np.float32(-np.inf), shown)

    def _draw(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """One film a row, with the probabilities of a softmax."""
        weights = np.exp(scores - scores.max(1, keepdims=True))
        cumulated = weights.cumsum(1)
        # Kept below 1 by more than a rounding: at the very total no film would be left.
        share = np.minimum(self._rng.random(len(scores), dtype=np.float32), np.float32(1 - 2**-20))
        threshold = share * cumulated[:, -1]
        film: NDArray[np.int64] = np.count_nonzero(cumulated <= threshold[:, None], axis=1)
        return film

    def _outcome(self, film: NDArray[np.int64], days: NDArray[np.float64]) -> NDArray[np.int64]:
        """A look, or more: the better the match the likelier a like, new films are bought."""
        match = (self._taste[: len(film)] * self._films.places[film]).sum(1)
        is_new = (self._films.arrives_days[film] > 0) & (days - self._films.arrives_days[film] < 14)
        liked = 0.3 / (1.0 + np.exp(-4.0 * (match - 0.6)))
        disliked = 0.08 / (1.0 + np.exp(6.0 * match))
        bought = np.where(is_new, 0.25, 0.06)
        odds = np.stack([np.full(len(film), 0.18), liked, bought, disliked], axis=1)
        at = np.count_nonzero(odds.cumsum(1) <= self._rng.random((len(film), 1)), axis=1)
        outcome: NDArray[np.int64] = np.array([VIEW, LIKE, PURCHASE, DISLIKE, WATCH])[at]
        return outcome
