"""Somebody who signed up a second ago and has seen nothing: from the profile alone, by way of Qdrant."""

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
from kindred.local.demo.scenario import Scenario, records

USER_ID = "newcomer"
RECOMMENDED = 6
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Newcomer:
    """`milliseconds` from sending the profile to holding recommendations made from it."""

    profile: Mapping[str, Any]
    milliseconds: float
    recommended: Sequence[str]  # titles
    popular: Sequence[str]  # titles: what somebody nobody knows is shown


def welcome(client: KindredClient, producer: Producer, scenario: Scenario, contract: Contract) -> Newcomer:
    """Send a profile and ask until the answer rests on it. Raises Misconfigured where it never does."""
    attributes = _unusual_profile(scenario)
    popular = client.recommend(USER_ID, RECOMMENDED)
    signed_up = profile(USER_ID, time.time_ns() // 1000, attributes)
    began = time.monotonic()
    for record in records([signed_up], contract):
        producer.send(record)
    answer = _answer_from_profile(client, began)
    milliseconds = (time.monotonic() - began) * 1000
    return Newcomer(attributes, milliseconds, _titles(scenario, answer), _titles(scenario, popular))


def _answer_from_profile(client: KindredClient, began: float) -> Answer:
    while time.monotonic() - began < _PATIENCE_SECONDS:
        answer = client.recommend(USER_ID, RECOMMENDED)
        if answer.source == "cold_start":
            return answer
        time.sleep(_POLL_SECONDS)
    raise Misconfigured(f"A new profile was not searchable within {_PATIENCE_SECONDS:g} s.")


def _unusual_profile(scenario: Scenario) -> dict[str, Any]:
    """Of each attribute the third most frequent value: not everybody, but enough to have learned from."""
    chosen: dict[str, Any] = {}
    for name in scenario.dataset.declaration.user:
        counts = Counter(each[name] for each in scenario.profiles.values() if name in each)
        if counts:
            chosen[name] = counts.most_common(3)[-1][0]
    return chosen


def _titles(scenario: Scenario, answer: Answer) -> list[str]:
    return [scenario.title(match.id) for match in answer]
