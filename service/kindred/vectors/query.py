"""The questions that the two collections of a model answer, each in one request.

No query returns a tombstone: an erased user and a removed item are points without a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import QdrantClient, models

from kindred.errors import UnknownItem, UnknownUser
from kindred.vectors.connection import translated_errors
from kindred.vectors.filters import Filter, conditions
from kindred.vectors.ids import point_id

_MOST_POPULAR_FIRST = models.OrderBy(key="popularity", direction=models.Direction.DESC)
_ERASED = models.FieldCondition(key="erased", match=models.MatchValue(value=True))

# Long, and the business of no one who asks for other users.
_USER_PAYLOAD = models.PayloadSelectorExclude(exclude=["seen_items"])


# Taste and demand: added to the score is `weight * ln(popularity + LEAST_POPULARITY)`.
# So small that what was taken 26 half-lives ago still differs from what never was, which gets weight * -18.4.
LEAST_POPULARITY = 1e-8
_FEWEST_CANDIDATES = 200  # of each kind: the nearest items, and the most popular ones


@dataclass(frozen=True, slots=True)
class Match:
    """One item or user of an answer, by its external id."""

    id: str
    score: float
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KnownUser:
    """What a recommendation must know of the user."""

    cold_start: bool
    seen_items: Sequence[int | str]  # point ids


@dataclass(frozen=True, slots=True)
class Pair:
    """A model's two collections, by their own names: an alias may move between two requests."""

    model: str
    users: str
    items: str


def known_user(client: QdrantClient, pair: Pair, user_id: str) -> KnownUser | None:
    """The user's seen items; None for a user nobody knows, or an erased one."""
    fields = ["cold_start", "seen_items", "erased"]
    with translated_errors():
        found = client.retrieve(pair.users, [point_id(user_id)], with_payload=fields)
    payload = (found[0].payload or {}) if found else None
    if payload is None or payload.get("erased"):
        return None
    return KnownUser(bool(payload.get("cold_start")), payload.get("seen_items") or [])


def items_for_user(
    client: QdrantClient,
    pair: Pair,
    user_id: str,
    limit: int,
    wanted: Filter | None,
    leave_out: Sequence[int | str],
) -> list[Match]:
    """The items whose dot product with the user's vector is highest. Raises UnknownUser."""
    with translated_errors(UnknownUser(f"No vector of the user {user_id!r}.")):
        answer = client.query_points(
            pair.items,
            query=point_id(user_id),
            lookup_from=_users_of(pair),
            query_filter=_live(wanted, leave_out),
            limit=limit,
        )
    return [_match(point, "item_id") for point in answer.points]


def items_for_user_in_demand(
    client: QdrantClient,
    pair: Pair,
    user_id: str,
    limit: int,
    wanted: Filter | None,
    leave_out: Sequence[int | str],
    weight: float,
) -> list[Match]:
    """The items with the highest sum of dot product and weighted log popularity. Raises UnknownUser.

    Of the nearest and the most popular ones, many more of each than are asked for.
    """
    candidates = max(_FEWEST_CANDIDATES, 10 * limit)
    only = _live(wanted, leave_out)
    nearest = models.Prefetch(
        query=point_id(user_id), lookup_from=_users_of(pair), filter=only, limit=candidates
    )
    popular = models.Prefetch(
        query=models.OrderByQuery(order_by=_MOST_POPULAR_FIRST), filter=only, limit=candidates
    )
    both = models.Prefetch(
        prefetch=[nearest, popular], query=point_id(user_id), lookup_from=_users_of(pair),
        limit=2 * candidates,
    )  # fmt: skip
    with translated_errors(UnknownUser(f"No vector of the user {user_id!r}.")):
        answer = client.query_points(pair.items, prefetch=both, query=_with_demand(weight), limit=limit)
    return [_match(point, "item_id") for point in answer.points]


def users_like_user(
    client: QdrantClient, pair: Pair, user_id: str, limit: int, wanted: Filter | None
) -> list[Match]:
    """The users whose vectors have the highest cosine with this one's. Raises UnknownUser."""
    with translated_errors(UnknownUser(f"No vector of the user {user_id!r}: unknown, or erased.")):
        answer = client.query_points(
            pair.users,
            query=point_id(user_id),
            query_filter=_live(wanted, [point_id(user_id)]),
            limit=limit,
            with_payload=_USER_PAYLOAD,
        )
    return [_match(point, "user_id") for point in answer.points]


def items_like_item(
    client: QdrantClient, pair: Pair, item_id: str, limit: int, wanted: Filter | None
) -> list[Match]:
    """The items whose dot product with this one is highest. Raises UnknownItem."""
    with translated_errors(UnknownItem(f"No vector of the item {item_id!r}: unknown, or removed.")):
        answer = client.query_points(
            pair.items,
            query=point_id(item_id),
            query_filter=_live(wanted, [point_id(item_id)]),
            limit=limit,
        )
    return [_match(point, "item_id") for point in answer.points]


def users_for_item(
    client: QdrantClient, pair: Pair, item_id: str, limit: int, wanted: Filter | None
) -> list[Match]:
    """The users who fit the item best. Raises UnknownItem.

    Scores are cosines, which order the users of one item as the dot product does, users being of unit
    length; they say nothing between items.
    """
    with translated_errors(UnknownItem(f"No vector of the item {item_id!r}: unknown, or removed.")):
        answer = client.query_points(
            pair.users,
            query=point_id(item_id),
            lookup_from=models.LookupLocation(collection=pair.items),
            query_filter=_live(wanted, []),
            limit=limit,
            with_payload=_USER_PAYLOAD,
        )
    return [_match(point, "user_id") for point in answer.points]


def most_popular(client: QdrantClient, pair: Pair, limit: int, wanted: Filter | None) -> list[Match]:
    """The items with the highest decayed count, which is their score."""
    with translated_errors():
        points, _ = client.scroll(pair.items, _live(wanted, []), limit=limit, order_by=_MOST_POPULAR_FIRST)
    return [_match(point, "item_id") for point in points]


def _users_of(pair: Pair) -> models.LookupLocation:
    return models.LookupLocation(collection=pair.users)


def _with_demand(weight: float) -> models.FormulaQuery:
    log_popularity = models.LnExpression(ln=models.SumExpression(sum=[LEAST_POPULARITY, "popularity"]))
    weighted = models.MultExpression(mult=[weight, log_popularity])
    return models.FormulaQuery(
        formula=models.SumExpression(sum=["$score", weighted]), defaults={"popularity": 0.0}
    )


def _live(wanted: Filter | None, leave_out: Sequence[int | str]) -> models.Filter:
    must_not: list[models.Condition] = [_ERASED]
    if leave_out:
        must_not.append(models.HasIdCondition(has_id=[*leave_out]))
    return models.Filter(must=conditions(wanted), must_not=must_not)


def _match(point: models.ScoredPoint | models.Record, id_field: str) -> Match:
    payload = point.payload or {}
    score = point.score if isinstance(point, models.ScoredPoint) else payload["popularity"]
    return Match(payload[id_field], score, payload)
