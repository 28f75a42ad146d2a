"""People who signed up a second ago and have seen nothing: from the profile alone, by way of Qdrant."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kindred.client import Answer, KindredClient
from kindred.errors import Misconfigured
from kindred.events.descriptions import profile
from kindred.events.producer import Producer
from kindred.events.schema import Contract
from kindred.local.demo.person import Recommended
from kindred.local.demo.scenario import Scenario, records

RECOMMENDED = 6
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Newcomer:
    """`milliseconds` from sending the profile to holding recommendations made from it."""

    profile: Mapping[str, Any]
    milliseconds: float
    recommended: Sequence[Recommended]


def welcome_two(
    client: KindredClient, producer: Producer, scenario: Scenario, contract: Contract
) -> list[Newcomer]:
    """One with the most frequent value of each attribute, one with the third most frequent.

    Raises Misconfigured where no recommendations come.
    """
    return [
        _welcome(client, producer, scenario, contract, f"newcomer-{place}", _profile(scenario, place))
        for place in (1, 3)
    ]


def _welcome(
    client: KindredClient,
    producer: Producer,
    scenario: Scenario,
    contract: Contract,
    user_id: str,
    attributes: dict[str, Any],
) -> Newcomer:
    signed_up = profile(user_id, time.time_ns() // 1000, attributes)
    began = time.monotonic()
    for record in records([signed_up], contract):
        producer.send(record)
    answer = _answer_from_profile(client, user_id, began)
    milliseconds = (time.monotonic() - began) * 1000
    lines = [Recommended(scenario.title(each.id), scenario.genres(each.id), False) for each in answer]
    return Newcomer(attributes, milliseconds, lines)


def _answer_from_profile(client: KindredClient, user_id: str, began: float) -> Answer:
    while time.monotonic() - began < _PATIENCE_SECONDS:
        answer = client.recommend(user_id, RECOMMENDED)
        if answer.source == "cold_start":
            return answer
        time.sleep(_POLL_SECONDS)
    raise Misconfigured(f"A new profile was not searchable within {_PATIENCE_SECONDS:g} s.")


def _profile(scenario: Scenario, place: int) -> dict[str, Any]:
    """Of each declared attribute the value that is so frequent; rarer ones have taught a model little."""
    chosen: dict[str, Any] = {}
    for name in scenario.dataset.declaration.user:
        counts = Counter(each[name] for each in scenario.profiles.values() if name in each)
        if counts:
            chosen[name] = counts.most_common(place)[-1][0]
    return chosen
