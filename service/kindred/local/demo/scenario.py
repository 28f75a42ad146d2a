"""The data of a demo, cut at one moment: what training knows, and what comes afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from kindred.errors import Misconfigured
from kindred.events.encode import key_of, topic_of, value_of
from kindred.events.schema import Contract, Interaction, ItemDescription, Record
from kindred.local import datasets, shop
from kindred.local.dataset import Dataset, Value, time_us_of
from kindred.local.demo.options import FILM_SHOP, DemoOptions
from kindred.local.shop_size import sized
from kindred.training.dataset import build_log
from kindred.training.event_log import EventLog

TRAINING_SHARE = 0.8
_LEAST_EVENTS = 500


@dataclass(frozen=True)
class Scenario:
    """A data set and the moment before which 80 % of its interactions lie."""

    dataset: Dataset
    log: EventLog
    cut_us: int

    @cached_property
    def training_log(self) -> EventLog:
        """What a model may learn from: nothing at or after the cut."""
        return self.log.before(self.cut_us)

    @cached_property
    def items_before(self) -> list[ItemDescription]:
        """The catalogue as of the cut."""
        return [item for item in self.dataset.items if item.updated_at_us < self.cut_us]

    @cached_property
    def before(self) -> list[Value]:
        """Profiles and interactions up to the cut, in time order."""
        values = self.dataset.in_time_order()
        return [v for v in values if time_us_of(v) < self.cut_us and not isinstance(v, ItemDescription)]

    @cached_property
    def after(self) -> list[Value]:
        """Everything from the cut on, in time order."""
        return [value for value in self.dataset.in_time_order() if time_us_of(value) >= self.cut_us]

    @cached_property
    def interactions_by_user(self) -> Mapping[str, Sequence[Interaction]]:
        """Each user's interactions, oldest first."""
        found: dict[str, list[Interaction]] = {}
        for event in self.dataset.interactions:
            found.setdefault(event.user_id, []).append(event)
        return found

    @cached_property
    def profiles(self) -> Mapping[str, Mapping[str, Any]]:
        """Attributes by user id."""
        return {
            each.user_id: msgspec.json.decode(each.attributes, type=dict[str, Any])
            for each in self.dataset.profiles
        }

    @cached_property
    def _described(self) -> Mapping[str, ItemDescription]:
        return {item.item_id: item for item in self.dataset.items}

    def title(self, item_id: str) -> str:
        """What a person calls the item; its id where the data has no titles."""
        item = self._described.get(item_id)
        return (item and item.title) or item_id

    def genres(self, item_id: str) -> str:
        """The item's genres, for a person; empty where the data has none."""
        item = self._described.get(item_id)
        names = msgspec.json.decode(item.attributes, type=dict[str, Any]).get("genres", []) if item else []
        return ", ".join(str(name).replace("_", " ").lower() for name in names)

    @property
    def noun(self) -> str:
        """What an item is."""
        return "article" if self.dataset.name == "deskdrop" else "film"


def load(options: DemoOptions, now_us: int) -> Scenario:
    """Generate or read the data so that it ends now. Raises Misconfigured."""
    dataset = _dataset(options, now_us)
    if len(dataset.interactions) < _LEAST_EVENTS:
        raise Misconfigured(f"A demo needs {_LEAST_EVENTS} events or more: raise --events.")
    log = build_log(dataset.in_time_order())
    return Scenario(dataset, log, log.time_at(TRAINING_SHARE))


def records(values: Sequence[Value], contract: Contract) -> Iterator[Record]:
    """The Kafka records of these values; the broker gives offset and timestamp."""
    for value in values:
        yield Record(topic_of(value, contract), 0, 0, 0, key_of(value), value_of(value))


def _dataset(options: DemoOptions, now_us: int) -> Dataset:
    if options.dataset == FILM_SHOP:
        return shop.generate(sized(options.events), seed=options.seed, ends_at_us=now_us)
    if options.data_dir is None:
        raise Misconfigured(
            f"{options.dataset} is not shipped: name the folder of its files with --data-dir."
        )
    dataset = datasets.load(options.dataset, options.data_dir)
    return (dataset if options.events is None else _first(dataset, options.events)).ending_at(now_us)


def _first(dataset: Dataset, events: int) -> Dataset:
    kept = dataset.interactions[:events]
    users = {event.user_id for event in kept}
    profiles = [profile for profile in dataset.profiles if profile.user_id in users]
    return replace(dataset, interactions=kept, profiles=profiles)
