"""For services that query: which items for a user, which users are alike, who is the audience of an item.

    with KindredClient("http://localhost:6333") as kindred:
        for item in kindred.recommend("42", limit=10, filter={"genres": "Drama", "year": {"gte": 1990}}):
            print(item.id, item.score, item.payload["title"])

Needs qdrant-client alone, neither torch nor a database. docs/queries.md says what each question is in
Qdrant's own terms, for other languages.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import SecretStr
from qdrant_client import QdrantClient

from kindred.errors import CollectionGone, Misconfigured, UnknownUser
from kindred.settings import QdrantSettings
from kindred.vectors import query
from kindred.vectors.aliases import live_model
from kindred.vectors.connection import connect
from kindred.vectors.filters import Filter, parse_filter
from kindred.vectors.ids import point_id, point_ids
from kindred.vectors.names import CollectionNames
from kindred.vectors.query import Match, Pair

__all__ = ["Answer", "Filter", "KindredClient", "Match", "parse_filter", "point_id", "point_ids"]

Source = Literal["personal", "cold_start", "popular", "similar"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """Matches, best first. `source` says what they rest on, `model` which model made the vectors.

    `personal`: the user's history. `cold_start`: the profile alone. `popular`: nothing is known of the
    user, or they were erased. `similar`: the vector of the user or item that was asked about.
    """

    source: Source
    model: str
    matches: tuple[Match, ...]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def __len__(self) -> int:
        return len(self.matches)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A recommendation that is asked for."""

    limit: int
    filter: Filter | None
    include_seen: bool
    popularity_weight: float


class KindredClient:
    """Asks the live model's collections. May be shared between threads.

    All questions raise Outage, or Misconfigured for a filter or limit that is none. A promotion is noticed
    within `alias_seconds`; no answer mixes two models. `ssl_cafile` is the CA of an https:// address, without
    it the usual ones; an `api_key` goes in plain text to this machine alone, unless that is allowed.
    """

    def __init__(
        self,
        url: str = "http://localhost:6333",
        *,
        api_key: str | None = None,
        ssl_cafile: Path | None = None,
        allow_plaintext_secrets: bool = False,
        namespace: str = "",
        timeout_seconds: float = 5.0,
        alias_seconds: float = 5.0,
        client: QdrantClient | None = None,
    ) -> None:
        settings = QdrantSettings(
            url=url,
            api_key=None if api_key is None else SecretStr(api_key),
            ssl_cafile=ssl_cafile,
            allow_plaintext_secrets=allow_plaintext_secrets,
            timeout_seconds=timeout_seconds,
        )
        self._client = client or connect(settings)
        self._names = CollectionNames(namespace)
        self._alias_seconds = alias_seconds
        self._live: tuple[float, Pair] | None = None  # when it was read, and what

    def recommend(
        self,
        user_id: str,
        limit: int = 10,
        filter: Filter | None = None,
        include_seen: bool = False,
        popularity_weight: float = 0.0,
    ) -> Answer:
        """Items for a user, without those already seen; the most popular ones for a user nobody knows.

        `popularity_weight`: how much demand counts beside taste, 0 or more; `kindred evaluate` says what it
        is worth. For catalogues in which the newest items matter most, and no model knows them yet.
        """
        if not 0 <= popularity_weight < math.inf:
            raise Misconfigured(f"A popularity weight is 0 or more: not {popularity_weight}.")
        wanted = _Wanted(limit, filter, include_seen, popularity_weight)
        return self._answer(lambda pair: self._recommend(pair, user_id, wanted))

    def popular(self, limit: int = 10, filter: Filter | None = None) -> Answer:
        """The most popular items."""
        return self._answer(lambda pair: self._popular(pair, limit, filter))

    def similar(self, user_id: str, limit: int = 10, filter: Filter | None = None) -> Answer:
        """Users like a user. Raises UnknownUser."""
        return self._similar(lambda pair: query.users_like_user(self._client, pair, user_id, limit, filter))

    def similar_items(self, item_id: str, limit: int = 10, filter: Filter | None = None) -> Answer:
        """Items like an item. Raises UnknownItem."""
        return self._similar(lambda pair: query.items_like_item(self._client, pair, item_id, limit, filter))

    def audience(self, item_id: str, limit: int = 10, filter: Filter | None = None) -> Answer:
        """Users for an item. Raises UnknownItem. Scores order the users of one item only."""
        return self._similar(lambda pair: query.users_for_item(self._client, pair, item_id, limit, filter))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> KindredClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _recommend(self, pair: Pair, user_id: str, wanted: _Wanted) -> Answer:
        user = query.known_user(self._client, pair, user_id)
        if user is None:
            return self._popular(pair, wanted.limit, wanted.filter)
        seen = [] if wanted.include_seen else user.seen_items
        try:
            items = self._items(pair, user_id, wanted, seen)
        except UnknownUser:  # erased between the two requests
            return self._popular(pair, wanted.limit, wanted.filter)
        return Answer("cold_start" if user.cold_start else "personal", pair.model, tuple(items))

    def _items(self, pair: Pair, user_id: str, wanted: _Wanted, seen: Sequence[int | str]) -> list[Match]:
        asked = (self._client, pair, user_id, wanted.limit, wanted.filter, seen)
        if not wanted.popularity_weight:
            return query.items_for_user(*asked)
        return query.items_for_user_in_demand(*asked, wanted.popularity_weight)

    def _popular(self, pair: Pair, limit: int, filter: Filter | None) -> Answer:
        items = query.most_popular(self._client, pair, limit, filter)
        return Answer("popular", pair.model, tuple(items))

    def _similar(self, ask: Callable[[Pair], list[Match]]) -> Answer:
        return self._answer(lambda pair: Answer("similar", pair.model, tuple(ask(pair))))

    def _answer(self, ask: Callable[[Pair], T]) -> T:
        try:
            return ask(self._live_pair())
        except CollectionGone:  # the model was retired after its name was read
            self._live = None
            return ask(self._live_pair())

    def _live_pair(self) -> Pair:
        now = time.monotonic()
        if self._live is None or now - self._live[0] > self._alias_seconds:
            self._live = (now, self._read_live_pair())
        return self._live[1]

    def _read_live_pair(self) -> Pair:
        model = live_model(self._client, self._names)
        if model is None:
            raise Misconfigured(
                f"Qdrant has no alias {self._names.users_alias}, so no model is live: start a worker, or "
                "check the address and the namespace."
            )
        return Pair(model, self._names.users(model), self._names.items(model))
