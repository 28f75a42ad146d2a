"""One user's story: what they saw, what was recommended at the cut and what is now, and who is like them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kindred.client import KindredClient, Match
from kindred.events.schema import Interaction
from kindred.local.demo.scenario import Scenario

RECOMMENDED = 8
LAST_SEEN = 6
ALIKE = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One of the user's latest events."""

    title: str
    genres: str
    type: str


@dataclass(frozen=True, slots=True)
class Recommended:
    """One line of a list of recommendations."""

    title: str
    genres: str
    is_marked: bool  # then: taken by the user since; now: was not recommended then


@dataclass(frozen=True, slots=True)
class Alike:
    """A user like the one in question."""

    user_id: str
    cosine: float
    profile: Mapping[str, Any]
    in_common: int  # distinct items that both have seen


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that the demo tells of one user."""

    user_id: str
    profile: Mapping[str, Any]
    events_before: int
    events_since: int
    last_seen: Sequence[Seen]  # newest first
    then: Sequence[Recommended]
    now: Sequence[Recommended]
    alike: Sequence[Alike]


def choose(scenario: Scenario) -> str:
    """An active user: of those known at the cut a tenth has more events since. The lower id of two."""
    by_user = scenario.interactions_by_user
    known = [user for user, events in by_user.items() if events[0].occurred_at_us < scenario.cut_us]
    known.sort(key=lambda user_id: (-len(_since(scenario, user_id)), user_id))
    returned = [user_id for user_id in known if _since(scenario, user_id)]
    return returned[len(returned) // 10] if returned else next(iter(by_user))


def recommended(client: KindredClient, user_id: str) -> list[Match]:
    """What Qdrant answers for this user at this moment."""
    return list(client.recommend(user_id, RECOMMENDED))


def portray(client: KindredClient, scenario: Scenario, user_id: str, then: Sequence[Match]) -> Portrait:
    """The whole story, `then` being what was recommended before the stream."""
    events = scenario.interactions_by_user[user_id]
    since = _since(scenario, user_id)
    taken, before = {event.item_id for event in since}, {match.id for match in then}
    now = recommended(client, user_id)
    return Portrait(
        user_id=user_id,
        profile=scenario.profiles.get(user_id, {}),
        events_before=len(events) - len(since),
        events_since=len(since),
        last_seen=[_seen(scenario, event) for event in events[: -LAST_SEEN - 1 : -1]],
        then=[_line(scenario, match.id, match.id in taken) for match in then],
        now=[_line(scenario, match.id, match.id not in before) for match in now],
        alike=[_alike(scenario, user_id, match) for match in client.similar(user_id, ALIKE)],
    )


def _since(scenario: Scenario, user_id: str) -> list[Interaction]:
    events = scenario.interactions_by_user[user_id]
    return [event for event in events if event.occurred_at_us >= scenario.cut_us]


def _seen(scenario: Scenario, event: Interaction) -> Seen:
    return Seen(scenario.title(event.item_id), scenario.genres(event.item_id), event.type)


def _line(scenario: Scenario, item_id: str, is_marked: bool) -> Recommended:
    return Recommended(scenario.title(item_id), scenario.genres(item_id), is_marked)


def _alike(scenario: Scenario, user_id: str, match: Match) -> Alike:
    own, theirs = (
        {event.item_id for event in scenario.interactions_by_user.get(each, ())}
        for each in (user_id, match.id)
    )
    return Alike(match.id, match.score, scenario.profiles.get(match.id, {}), len(own & theirs))
