"""One user's life: what erasures, profiles and interactions leave of it, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


class Undetermined(Exception):
    """The rules leave this outcome to the order of arrival: the workload must wait in between."""


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction as a record says it; of several copies, `recorded_at_us` is the last one's."""

    user_id: str
    event_id: str
    occurred_at_us: int
    item_id: str
    type: str
    value: float | None
    context: dict[str, Any] | None
    recorded_at_us: int = field(compare=False)

    @property
    def key(self) -> tuple[int, bytes]:
        """What orders a history: text by its bytes, as collation "C" does."""
        return self.occurred_at_us, self.event_id.encode()


@dataclass(frozen=True, slots=True)
class Description:
    """Attributes as of a time: a profile, or an item with its title. The later one wins, then the digest."""

    updated_at_us: int
    digest: bytes
    attributes: dict[str, Any]
    title: str | None = None

    @property
    def rank(self) -> tuple[int, bytes]:
        return self.updated_at_us, self.digest


@dataclass(slots=True)
class Life:
    """What Postgres must hold of one user."""

    erased_at_us: int | None = None
    profile: Description | None = None
    events: dict[tuple[int, bytes], Event] = field(default_factory=dict)

    @property
    def is_erased(self) -> bool:
        return self.erased_at_us is not None and self.profile is None

    def history(self) -> list[Event]:
        """Every event that counts, oldest first."""
        return [self.events[key] for key in sorted(self.events)]

    def go_on(
        self, erased_at_us: Sequence[int], profiles: Iterable[Description], arrived: Iterable[Event]
    ) -> None:
        """Everything of one phase, in any order. Raises Undetermined where the order would count.

        Rules 13 and 15: an erasure ends all that lies at or before it, and all that comes while no
        newer profile is known, also what is dated later; and nothing that was recorded before it comes
        in any more.
        """
        known, erased_before = self.profile, self.erased_at_us
        erased = max([*erased_at_us, *([] if erased_before is None else [erased_before])], default=None)
        self.erased_at_us = erased
        described = [each for each in (self.profile, *profiles) if each is not None]
        newer = [each for each in described if erased is None or each.updated_at_us > erased]
        self.profile = max(newer, key=lambda each: each.rank, default=None)
        if erased is None:
            self._add(arrived)
            return
        later = [each for each in arrived if min(each.occurred_at_us, each.recorded_at_us) > erased]
        self.events = {key: each for key, each in self.events.items() if each.occurred_at_us > erased}
        if self.profile is None:
            self.events = {}
            return
        if (later or self.events) and (known is None or known.updated_at_us <= erased):
            raise Undetermined(
                f"{(later or list(self.events.values()))[0]} is later than an erasure, and the profile that "
                "re-opens the id came in the same phase"
            )
        self._add(later)

    def _add(self, arrived: Iterable[Event]) -> None:
        for event in arrived:
            self.events.setdefault(event.key, event)  # same key, other content: the first wins (rule 2)
