"""Dead letters once more through decode and the one transaction, after what was wrong has been mended.

A letter goes in the transaction in which it becomes an event, together with a request to write all that it
touches (rule 23); one that is still no event stays. So a replay may be repeated and interrupted anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from kindred.errors import RefusedByPostgres
from kindred.events.decode import decode
from kindred.events.schema import Contract, Reason
from kindred.history import letters
from kindred.history.connection import Database
from kindred.history.letters import Filter, Letter
from kindred.history.store import HistoryStore, LettersTaken, Origin, RetentionFloorRaised

FOREIGN_TOPIC = "not a topic of this deployment"


@dataclass(slots=True)
class Replayed:
    """Letters that became events, and those that did not, by reason."""

    events: int = 0
    still_bad: Counter[str] = field(default_factory=Counter)


class Replay:
    """Replays letters into one database. Raises Outage; what was replayed until then is done."""

    def __init__(self, database: Database, history: HistoryStore, contract: Contract) -> None:
        self._database = database
        self._history = history
        self._contract = msgspec.structs.replace(contract, floor_us=history.floor_us())

    def preview(self, wanted: Filter) -> Replayed:
        """What would become of them, as far as decode can tell."""
        found = Replayed()
        for slice_ in letters.slices(self._database, wanted):
            found.events += len(self._readable(slice_, found.still_bad))
        return found

    def run(self, wanted: Filter) -> Replayed:
        """Replay all letters that match, oldest first."""
        self._history.load_catalogue()
        done = Replayed()
        for slice_ in letters.slices(self._database, wanted):
            self._replay(self._readable(slice_, done.still_bad), done)
        return done

    def _readable(self, found: Sequence[Letter], still_bad: Counter[str]) -> list[Letter]:
        reasons = [self._reason(letter) for letter in found]
        still_bad.update(reason for reason in reasons if reason is not None)
        return [letter for letter, reason in zip(found, reasons, strict=True) if reason is None]

    def _reason(self, letter: Letter) -> str | None:
        """Why it is still no event."""
        terms = self._contract
        if letter.record.topic not in {terms.interactions_topic, terms.users_topic, terms.items_topic}:
            return FOREIGN_TOPIC
        rejected = decode([letter.record], terms).dead_letters
        return rejected[0].reason.value if rejected else None

    def _replay(self, found: Sequence[Letter], done: Replayed) -> None:
        if not found:
            return
        try:
            self._apply(found)
        except LettersTaken:
            self._replay(self._still_there(found), done)
        except RetentionFloorRaised as raised:
            self._contract = msgspec.structs.replace(self._contract, floor_us=raised.floor_us)
            self._replay(self._readable(found, done.still_bad), done)
        except RefusedByPostgres:
            self._replay_halves(found, done)
        else:
            done.events += len(found)

    def _replay_halves(self, found: Sequence[Letter], done: Replayed) -> None:
        if len(found) == 1:
            done.still_bad[Reason.REFUSED_BY_POSTGRES.value] += 1
            return
        middle = len(found) // 2
        self._replay(found[:middle], done)
        self._replay(found[middle:], done)

    def _apply(self, found: Sequence[Letter]) -> None:
        self._history.apply(
            decode([letter.record for letter in found], self._contract),
            floor_us=self._contract.floor_us,
            origin=Origin(by_command=True, replayed=[letter.id for letter in found]),
        )

    def _still_there(self, found: Sequence[Letter]) -> list[Letter]:
        return [letter for letter in found if letters.read(self._database, letter.id) is not None]
