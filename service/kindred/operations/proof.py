"""The proof of an erasure: what was deleted, that nothing is left, and what Kindred cannot reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kindred.history.traces import Deleted, Traces
from kindred.vectors.points import Point

# docs/operations.md, "Erasing a user", says how to deal with each.
OUT_OF_REACH = {
    "kafka": "records in the topics, until their retention or compaction removes them",
    "backups": "dumps and snapshots of Postgres, Kafka and Qdrant, and Postgres' archived WAL",
    "training files": "files of events that `kindred train --from` reads, and the copy of the log in "
    "CHECKPOINT.training, for as long as a training can be resumed",
    "exports": "whatever other systems have copied from the tables or the collections",
}
REMEMBERS_IDS = "the model reads a hash of the user id: it keeps what it learned until it is trained anew"
REMEMBERS_NO_IDS = "the model reads no user id; what it learned from a history cannot be told apart"
_TOMBSTONE = frozenset({"user_id", "revision", "erased", "erased_at"})


@dataclass(frozen=True, slots=True)
class Proof:
    """Without the id, so that it may be kept. `left` is empty where the erasure is complete."""

    was_known: bool
    erased_at: datetime | None
    deleted: Deleted
    postgres: Mapping[str, int]  # rows left, by table
    qdrant: Mapping[str, str]  # what is left, by model
    left: tuple[str, ...]
    out_of_reach: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        return not self.left

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "complete": self.is_complete,
            "was_known": self.was_known,
            "erased_at": self.erased_at,
            "proved_at": self.deleted.read_at,
            "user_hash": self.deleted.user_hash,
            "deleted": {
                "profiles": self.deleted.profiles,
                "interactions": self.deleted.interactions,
                "dead_letters": self.deleted.dead_letters,
            },
            "left": {"postgres": dict(self.postgres), "qdrant": dict(self.qdrant)},
            "because": list(self.left),
            "out_of_reach": dict(self.out_of_reach),
        }


def proof(
    before: Traces,
    after: Traces,
    deleted: Deleted,
    letters_left: int,
    points: Mapping[str, Point | None] | None,
    *,
    remembers_ids: bool,
) -> Proof:
    """Judge what was found afterwards. `points`: the user's, by model; None where Qdrant did not answer."""
    states = {} if points is None else {model: _state(point) for model, point in points.items()}
    checkpoints = REMEMBERS_IDS if remembers_ids else REMEMBERS_NO_IDS
    return Proof(
        was_known=before.is_known,
        erased_at=after.erased_at,
        deleted=deleted,
        postgres={
            "app_user": after.profiles + after.kept,
            "interaction": after.interactions,
            "dead_letter": letters_left,
            "pending_sync": after.pending,
            "letter_search": after.searches,
        },
        qdrant=states,
        left=tuple(_left(after, letters_left, points is not None, states)),
        out_of_reach=OUT_OF_REACH | {"checkpoints": checkpoints},
    )


def _left(after: Traces, letters: int, qdrant_answered: bool, states: Mapping[str, str]) -> list[str]:
    left = []
    if not after.are_gone:
        left.append("Postgres: a newer profile has come in meanwhile; erase again if that is no new life")
    if letters:
        left.append(f"Postgres: {letters} dead letters name the user; run this again")
    if not qdrant_answered:
        left.append("Qdrant does not answer: a worker writes the tombstone when it does; then run this again")
    if after.pending and qdrant_answered:
        left.append("Qdrant: a worker will write the tombstone; then run this again for the proof")
    return left + [
        f"Qdrant: {model} still holds a vector" for model, state in states.items() if state == "vector"
    ]


def _state(point: Point | None) -> str:
    if point is None:
        return "nothing"
    return (
        "tombstone"
        if point.erased and not point.has_vector and point.payload.keys() <= _TOMBSTONE
        else "vector"
    )
